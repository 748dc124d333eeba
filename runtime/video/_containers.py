"""Permitted container formats. Formats that make FFmpeg open other files are refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError

SELF_CONTAINED = (
    "mov,matroska,avi,mpegts,mpegtsraw,mpeg,mpegvideo,flv,live_flv,asf,asf_o,ogg,mxf,gxf,nut,rm,"
    "wtv,dv,ivf,obu,h261,h263,h264,hevc,vvc,evc,avs2,avs3,av1,m4v,cavsvideo,vc1,vc1test,dirac,"
    "dnxhd,mjpeg,mpjpeg,smjpeg,yuv4mpegpipe,ser,gif,apng,webp_anim,jpegxl_anim,swf,nsv,nuv,dhav,"
    "ifv,pmp,pva,kux,r3d,lmlm4,lxf,filmstrip,flic,ingenient,ipu,iv8,mods,mvi,rpl,roq,smk,bink,"
    "vivo,wc3movie,xmv,ea,film_cpk,frm,avr,avs,4xm,anm,c93,cdxl,cine,dxa,gdv,hnm,idcin,ipmovie,"
    "mm,moflex,mtv,mv,nsp,psxstr,simbiosis_imx,sga,smush,siff,thp,tiertexseq,tmv,txd,vmd,xa,yop,"
    "bfi,bmv,"
    # Audio formats, so that the error can name the content of the file.
    "aac,ac3,eac3,aiff,amr,ape,au,caf,flac,mp3,mpc,mpc8,tta,w64,wav,wv"
)
"""FFmpeg's names of demuxers that read only the bytes of the file itself."""

_IMAGES = {
    b"\x89PNG\r\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"%PDF": "PDF",
    b"P5\n": "PGM",
    b"P6\n": "PPM",
    b"8BPS": "PSD",
    b"v/1\x01": "OpenEXR",
}
_MAX_BOXES = 20_000
_NESTED = frozenset({b"moov", b"trak", b"mdia", b"minf", b"dinf"})


def refused(path: Path) -> InputError | None:
    """Return the error for a file that refers to other files or is a still image; None for all others."""
    head = b""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
            outside = _external_data(file) if head[4:8] in _BOXES else None
    except (OSError, ValueError):
        return None
    if outside is not None:
        return _references(path, f"an MP4 or MOV file whose media data is in another file ({outside})")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for begin, kind in _LISTS.items():
        if text.startswith(begin):
            return _references(path, kind)
    if b"<mpd" in text or b"urn:mpeg:dash:schema" in text:
        return _references(path, "a DASH manifest")
    if text.startswith(b"<") and any(name in text for name in (b"<smoothstreaming", b"<assetmap", b"<compositionplay")):
        return _references(path, "a playlist in XML")
    if head.startswith(b"\xff\xd8\xff") and _is_mjpeg(path):
        return None
    if b"acTL" in head or (head[8:12] == b"WEBP" and b"ANIM" in head):
        return None  # animated
    image = next((name for begin, name in _IMAGES.items() if head.startswith(begin)), None)
    if image is None and head[:2] == b"BM" and head[6:10] == bytes(4):
        image = "BMP"
    if image is None and head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        image = "WebP"
    return None if image is None else not_a_video(str(path), image)


def not_a_video(name: str, kind: str) -> InputError:
    """The error for a still image or a text file."""
    return InputError("video-picture", f"{name} is an image or text ({kind})", "a video", "use a video file")


_LISTS = {
    b"ffconcat version": "a list of files for FFmpeg's concat",
    b"#extm3u": "an HLS or M3U playlist",
    b"v=0": "an SDP description of a stream",
    b"[playlist]": "a PLS playlist",
    b"[reference]": "a playlist of references",
    b"rtsptext": "a playlist of references",
    b"<asx": "an ASX playlist",
    b"# vobsub": "a VobSub index",
}
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot")


def _is_mjpeg(path: Path) -> bool:
    """Return whether a second JPEG follows the first: raw MJPEG."""
    last = b""
    with path.open("rb") as file:
        for _ in range(256):
            block = last + file.read(1 << 16)
            if b"\xff\xd9\xff\xd8\xff" in block:
                return True
            if len(block) == len(last):
                return False
            last = block[-5:]
    return False


def _references(path: Path, kind: str) -> InputError:
    return InputError(
        "video-references",
        f"{path} is {kind}: it refers to other files or addresses instead of containing video",
        "a file that contains the video itself",
        "pass the files that it refers to, or join them first, for example with: ffmpeg -i LIST -c copy OUT.mkv",
    )


def _external_data(file: BinaryIO) -> str | None:
    """Return the first external location in the data references (dref) of an ISO media file, None without one."""
    size = file.seek(0, 2)
    budget = [_MAX_BOXES]
    return _walk(file, 0, size, budget)


def _walk(file: BinaryIO, at: int, end: int, budget: list[int]) -> str | None:
    while at + 8 <= end and budget[0] > 0:
        budget[0] -= 1
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return None
        length, name, body = struct.unpack(">I", head[:4])[0], head[4:8], at + 8
        if length == 1 and len(head) == 16:
            length, body = struct.unpack(">Q", head[8:])[0], at + 16
        stop = end if length == 0 else at + length
        if stop < body:
            return None
        stop = min(stop, end)
        outside = None
        if name in _NESTED:
            outside = _walk(file, body, stop, budget)
        elif name == b"dref":
            file.seek(body)
            outside = _outside(file.read(min(stop - body, 1 << 16)))
        if outside is not None:
            return outside
        at = stop
    return None


def _outside(dref: bytes) -> str | None:
    """Return the first entry of a dref box that is not "in this file" (flag 1)."""
    at = 8
    while at + 12 <= len(dref):
        length, kind = struct.unpack(">I4s", dref[at : at + 8])
        if length < 12:
            return None
        flags = int.from_bytes(dref[at + 9 : at + 12], "big")
        place = bytes(c for c in dref[at + 12 : at + length] if 32 <= c < 127)
        if place and not flags & 1:
            return f"{kind.decode('latin-1').strip()} {place[:80].decode('ascii')}".strip()
        at += length
    return None
