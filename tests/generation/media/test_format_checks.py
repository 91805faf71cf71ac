"""Headers that end too early are refused like all others."""

from __future__ import annotations

import pytest

from generation.errors import AttachmentRefused
from generation.media.format_checks import check_sound


@pytest.mark.parametrize("data", [b"fLaC", b"fLaC\0", b"fLaC\0\0\0\x22" + bytes(33)])
def test_a_flac_that_ends_in_its_header_is_refused(data: bytes) -> None:
    with pytest.raises(AttachmentRefused):
        check_sound(data)
