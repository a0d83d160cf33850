"""What is packed in tests/recorded/ is what lies beside the checkout; collected where it does."""

import tarfile

import pytest
import shared
from recorded.pack import contents, original, sample


@pytest.mark.parametrize(
    ("folder", "packed", "archive"), [("parity", original, "original"), ("fixtures", sample, "samples")]
)
def test_the_archives_are_what_is_packed_today(folder, packed, archive):
    with tarfile.open(shared.PACKED / f"{archive}.tar.xz") as tar:
        found = {entry.name: tar.extractfile(entry).read() for entry in tar}
    expected = dict(contents(shared.BESIDE / folder, packed))
    assert list(found) == list(expected)
    assert [name for name in found if found[name] != expected[name]] == []
