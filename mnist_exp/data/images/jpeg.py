"""Which JPEG files every decoder turns into the same pixels: told by their headers alone."""

import struct

_START, _SCAN = 0xD8, 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, by Huffman's codes
_OTHER_FRAMES = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}  # tables and an extension have numbers among them
_APP1, _APP2, _APP14 = 0xE1, 0xE2, 0xEE
_PROFILE = b"ICC_PROFILE\0"
_SAMPLINGS: dict[int, set[tuple[int, ...]]] = {
    3: {(0x11, 0x11, 0x11), (0x21, 0x11, 0x11), (0x22, 0x11, 0x11)},
    1: {(0x11,), (0x21,), (0x22,)},
}
_IDS = {3: (1, 2, 3), 1: (1,)}


def is_plain(content: bytes, shape: tuple[int, int, int]) -> bool:
    """Tell whether a file is a JPEG of a size whose pixels depend on no decoder's choices.

    That is one in grey or in YCbCr as JFIF has it, 8 bits, of a usual sampling, without metadata that may turn the
    image. Decoders that use libjpeg's accurate integer transform, as Pillow does, then agree to the last bit.

    Args:
        content: of the file.
        shape: height, width and channels that the image must have without being scaled or converted.
    """
    if content[:2] != bytes((0xFF, _START)):
        return False
    place, has_frame = 2, False
    while place + 4 <= len(content):
        if content[place] != 0xFF:
            return False
        marker, length = content[place + 1], struct.unpack_from(">H", content, place + 2)[0]
        segment = content[place + 4 : place + 2 + length]
        if marker == _SCAN:
            return has_frame
        if marker in (_APP1, _APP14) or marker in _OTHER_FRAMES:
            return False  # Orientation, a transform of colours, other codes.
        if marker == _APP2 and not segment.startswith(_PROFILE):
            return False  # Further pictures.
        if marker in _FRAMES:
            if has_frame or not _fits(segment, shape):
                return False
            has_frame = True
        place += 2 + length
    return False


def _fits(frame: bytes, shape: tuple[int, int, int]) -> bool:
    """Tell whether a frame has a shape, in a usual sampling."""
    if len(frame) < 6 or frame[0] != 8:
        return False
    height, width, channels = struct.unpack_from(">HHB", frame, 1)
    if (height, width, channels) != shape or channels not in _IDS or len(frame) != 6 + 3 * channels:
        return False
    ids, sampling = tuple(frame[6::3]), tuple(frame[7::3])
    return ids == _IDS[channels] and sampling in _SAMPLINGS[channels]
