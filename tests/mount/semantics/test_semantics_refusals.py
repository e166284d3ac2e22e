"""Every call that fails, with its errno, on a mount and on a tmpfs; and nothing has changed."""

import pytest

from tests.mount.semantics.refusals import REFUSALS
from tests.mount.semantics.scene import Case, Place, furnish, marks, state_of

pytestmark = marks("refusals")


@pytest.fixture(scope="module")
def scene(anywhere: Place) -> Place:
    """Return a furnished place, which no case may change."""
    made = anywhere.fresh()
    furnish(made.top)
    return made


@pytest.fixture(scope="module")
def before(scene: Place) -> dict[str, object]:
    return state_of(scene.top)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_it_is_refused_with_its_errno_and_changes_nothing(
    scene: Place, before: dict[str, object], case: Case
):
    with pytest.raises(OSError) as refused:  # noqa: PT011 - the errno is compared
        case.act(scene.top)
    assert refused.value.errno == case.expected, refused.value
    assert state_of(scene.top) == before


def test_no_case_stands_in_the_table_twice():
    names = [case.name for case in REFUSALS]
    assert len(names) == len(set(names))
