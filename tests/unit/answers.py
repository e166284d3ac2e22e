"""Who answers the questions of a sign-in in tests."""


class Answers:
    """A Prompter with its answers given beforehand, in order for each kind of question."""

    def __init__(self, password="", *, new_password="", code=(), attributes=None):
        self._password, self._new_password = password, new_password
        self._codes = iter([code] if isinstance(code, str) else code)
        self._attributes = attributes or {}
        self.notices = []
        self.asked = []

    def password(self, username):
        self.asked.append(("password", username))
        return self._password

    def new_password(self, username):
        self.asked.append(("new_password", username))
        return self._new_password

    def attribute(self, name):
        self.asked.append(("attribute", name))
        return self._attributes[name]

    def code(self, kind):
        self.asked.append(("code", kind))
        return next(self._codes)

    def notice(self, text):
        self.notices.append(text)
