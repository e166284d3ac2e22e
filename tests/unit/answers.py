"""Who answers the questions of a sign-in in tests."""


class Answers:
    """A Prompter with its answers given beforehand, in order for each kind of question."""

    def __init__(
        self, password="", *, new_password="", code=(), attributes=None, choice="", authenticator=()
    ):
        self._password, self._new_password = password, new_password
        self._codes = iter([code] if isinstance(code, str) else code)
        self._attributes = attributes or {}
        self._choice, self._authenticator = choice, authenticator
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

    def code(self, kind, sent_to):
        self.asked.append(("code", kind, sent_to))
        return next(self._codes)

    def choice(self, kind, options):
        self.asked.append(("choice", kind, tuple(options)))
        return self._choice

    def authenticator(self, uri, secret):
        """Answer with the next prepared code, or what a function makes of the secret."""
        self.asked.append(("authenticator", uri, secret))
        if callable(self._authenticator):
            return self._authenticator(secret)
        return self._authenticator[sum(each[0] == "authenticator" for each in self.asked) - 1]

    def notice(self, text):
        self.notices.append(text)
