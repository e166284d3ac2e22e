"""A server that takes commits without minding their conditions, as some off AWS do."""

from cognitofs.store.forwarding import ForwardingStore


class Ignorant(ForwardingStore):
    """A server that ignores the conditions of some commits."""

    def __init__(self, inner, *ignored):
        super().__init__(inner)
        self._ignored = ignored

    def _minded(self, commit, expect):
        return "any" if commit in self._ignored else expect

    async def put(self, key, body, headers, *, expect):
        expect = self._minded("PutObject", expect)
        return await super().put(key, body, headers, expect=expect)

    async def complete_upload(self, key, upload, parts, *, expect):
        expect = self._minded("CompleteMultipartUpload", expect)
        return await super().complete_upload(key, upload, parts, expect=expect)

    async def copy(self, source, target, *, expect, headers):
        if "CopyObject" in self._ignored:
            source, expect = (await self.head(source.key)).info, "any"
        return await super().copy(source, target, expect=expect, headers=headers)

    async def delete(self, key, *, expect="any"):
        await super().delete(key, expect=self._minded("DeleteObject", expect))
