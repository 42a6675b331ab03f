"""Whether as many images are there as the owners of a data set published."""

from collections.abc import Mapping


def note_on_counts(
    name: str,
    split: str,
    found: tuple[int, int],
    published: Mapping[str, tuple[int, int]],
) -> tuple[str, ...]:
    """A note when the numbers differ; a count is never a reason not to open a data set.

    Args:
        name: the data set's name.
        split: the split that was opened.
        found: how many database images and queries it has here.
        published: the same by split, as far as it is known.
    """
    expected = published.get(split, found)
    if found == expected:
        return ()
    return (
        f"{found[0]} database and {found[1]} query images; the published split {split} of {name} "
        f"has {expected[0]} and {expected[1]}.",
    )
