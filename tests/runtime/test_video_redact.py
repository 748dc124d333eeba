"""Credentials in addresses: whatever the address looks like, they are in nothing that anybody may print."""

from __future__ import annotations

import pickle
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.credentials.redact import Address, redact
from punctum.runtime.errors import InputError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://cam:554/live?channel=1&subtype=0", "rtsp://cam:554/live?channel=1&subtype=0"),
        ("rtsp://me:pw@cam/live", "rtsp://***@cam/live"),
        ("rtsp://me@cam/live", "rtsp://***@cam/live"),
        ("rtsp://me:p@ss/w@cam:554/live", "rtsp://***@cam:554/live"),
        ("rtsp://me:p?ss@cam:554/live", "rtsp://***@cam:554/live"),
        ("https://host/a.m3u8?token=abc&stream=2", "https://host/a.m3u8?token=***&stream=2"),
        ("https://host/a.m3u8?abc", "https://host/a.m3u8?***"),
        ("https://host/a?mail=me@home", "https://host/a?mail=***"),
        (
            "rtsp://cam/user=admin_password=xyz_channel=1_stream=0.sdp",
            "rtsp://cam/user=***_password=***_channel=1_stream=0.sdp",
        ),
        ("rtsp://cam/user=a_password=x_y_z_channel=1", "rtsp://cam/user=***_password=***_channel=1"),
        ("https://host/live;jsessionid=ABC/a.ts;v=1?x=1", "https://host/live;jsessionid=***/a.ts;v=***?x=***"),
        ("https://host/a.m3u8#access=abc", "https://host/a.m3u8#***"),
        ("https://host/a?1=s3cret&s3cret&api_key=ab_cd;sid=x", "https://host/a?1=***&***&api_key=***;sid=***"),
        ("https://host/a?dGVzdA==", "https://host/a?***"),
        ("https://host/token/abc/live.m3u8", "https://host/token/***/live.m3u8"),
        ("https://host/live/eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln/i.m3u8", "https://host/live/***/i.m3u8"),
        ("https://host/hdnts=exp=1~acl=/*~hmac=0a1b/x.ts", "https://host/hdnts=***~acl=***/*~hmac=***/x.ts"),
        ("rtsps://host:7441/AbCdEf1234567890xyzQ?enableSrtp", "rtsps://host:7441/***?***"),
        ("https://host/d41d8cd98f00b204e9800998ecf8427e/a.ts", "https://host/***/a.ts"),
        ("https://host/2024-05-01/Door_front_camera12.mp4", "https://host/2024-05-01/Door_front_camera12.mp4"),
        ("https://host/a?stream=" + "x" * 40, "https://host/a?stream=***"),
    ],
)
def test_what_is_shown(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert Address.parse(url).shown == shown


SECRET = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=20)


@given(SECRET, st.sampled_from(["rtsp", "https"]), st.booleans())
def test_no_password_is_ever_shown(secret: str, scheme: str, encoded: bool) -> None:
    secret = f"Zq{secret}"
    given_secret = quote(secret, safe="") if encoded else secret
    url = f"{scheme}://somebody:{given_secret}@camera.example:554/live"
    try:
        address = Address.parse(url)
    except InputError as error:
        text = str(error)
    else:
        text = f"{address!r} {address} {address.shown} {address.clean(f'cannot open {url}: {secret}')}"
        assert not encoded or "camera.example" in address.shown
    assert secret not in text
    assert given_secret not in text


@given(SECRET)
def test_no_token_is_ever_shown(secret: str) -> None:
    secret = f"Zq{secret}".replace("&", "x").replace("#", "x").replace(";", "x")
    address = Address.parse(f"https://host.example/live.m3u8?token={secret}")
    assert secret not in f"{address!r} {address.shown} {address.clean(f'segment {address.target} failed')}"


def test_an_address_in_a_message_of_ffmpeg_is_cleaned() -> None:
    address = Address.parse("rtsp://me:hunter2@cam/live")
    assert address.clean("Immediate exit: 'rtsp://me:hunter2@cam/live'") == "Immediate exit: 'rtsp://***@cam/live'"
    assert address.clean("401 for me:hunter2, see http://x:y@other/z") == "401 for ***, see http://***@other/z"
    assert address.secret
    assert not Address.parse("rtsp://cam/live").secret
    with pytest.raises(TypeError, match="credentials"):
        pickle.dumps(address)


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("clip.mp4", "file", "clip.mp4"),
        ("-clip.mp4", "file", "-clip.mp4"),
        ("file:///srv/a%20b.mp4", "file", "/srv/a b.mp4"),
        ("RTSP://cam/live", "rtsp", "rtsp://cam/live"),
        ("rtsps://cam/live", "rtsp", "rtsps://cam/live"),
        ("http://host/a.m3u8", "http", "http://host/a.m3u8"),
        ("camera:1", "camera", "/dev/video1"),
        ("camera:/dev/v4l/by-id/x", "camera", "/dev/v4l/by-id/x"),
        ("concat:a.mp4|b.mp4", "file", "concat:a.mp4|b.mp4"),
    ],
)
def test_kinds(text: str, kind: str, target: str) -> None:
    address = Address.parse(text)
    assert (address.kind, address.target) == (kind, target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\0b",
        "ftp://me:hunter2@host/a",
        "rtsp://",
        "rtsp:///live",
        "rtsp://me:hunter2@",
        "camera:front",
        "http://a b/c",
    ],
)
def test_addresses_that_cannot_work(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Address.parse(text)
    assert caught.value.code == "video-address"
    assert caught.value.next_step
    assert "hunter2" not in str(caught.value)


def test_every_part_that_prints_addresses_uses_the_one_redactor() -> None:
    from punctum.runtime.archive._remote import shown
    from punctum.runtime.sinks.mqtt import MqttTarget
    from punctum.runtime.sources.media import stream_name

    secrets = ["hunter2", "s3ss1on", "t0ken", "fr4gment"]
    url = "https://me:hunter2@host/live;jsessionid=s3ss1on/a.mp4?key=t0ken#fr4gment"
    texts = [
        redact(url),
        str(Address.parse(url)),
        stream_name(url),
        shown(url),
        shown(f"zip://a.npy::{url}"),
        shown(f"cannot open {url} now"),
    ]
    for bad in (
        url.replace("https", "mqtt"),
        "mqtt://me:hunter2@host",
        "mqtt://me:hunter2@host:99999/t",
        "me:hunter2@h",
    ):
        with pytest.raises(InputError) as caught:
            MqttTarget.parse(bad)
        texts.append(str(caught.value))
    target = MqttTarget.parse("mqtt://me:hunter2@host/topic")
    texts += [str(target), repr(target)]
    for text in texts:
        assert not any(secret in text for secret in secrets), text
    assert stream_name(url) == "host/live"


def test_a_login_from_elsewhere_is_as_secret_as_one_in_the_address() -> None:
    address = Address.parse("rtsp://cam/live").with_login("me", "hunter2@/x")
    assert address.target == "rtsp://me:hunter2%40%2Fx@cam/live"
    assert address.secret
    assert "hunter2" not in f"{address!r} {address.shown} {address.clean('failed: hunter2@/x')}"
    own = Address.parse("rtsp://a:b@cam/live")
    assert own.with_login("me", "hunter2") is own
