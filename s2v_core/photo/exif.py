"""What an EXIF block says about its photo, as far as anybody here asks."""

import struct


def orientation_and_location(tiff: bytes) -> tuple[int, bool]:
    """From the first directory of an EXIF block: 1 to 8, and whether it says where the photo was taken."""
    orientation, location = 1, False
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        at, size = _directory(tiff, f"{order}I", tiff[4:8]) if order else (0, 0)
        for tag, kind, _, value in struct.iter_unpack(f"{order}HHI4s", tiff[at : at + size]):
            if tag == 0x112 and kind == 3:
                (orientation,) = struct.unpack_from(f"{order}H", value)
            elif tag == 0x8825:
                location = _directory(tiff, f"{order}I", value)[1] > 0
    except struct.error:
        pass
    return orientation, location


def _directory(tiff: bytes, pointer: str, value: bytes) -> tuple[int, int]:
    (at,) = struct.unpack(pointer, value)
    (count,) = struct.unpack_from(f"{pointer[0]}H", tiff, at)
    # Whole entries only.
    return at + 2, min(12 * count, (len(tiff) - at - 2) // 12 * 12)
