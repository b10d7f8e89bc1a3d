"""A film is a file: what names other files or addresses is refused, whatever it is called, and names are nothing but names."""

from __future__ import annotations

import os

import numpy as np
import pytest
from clips import corners, even_times, write_clip
from PIL import Image

from zoo.errors import ZooError
from zoo.video_reader import open_video

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.mp4\n#EXT-X-ENDLIST\n",
    "hls, absolute": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{other}\n#EXT-X-ENDLIST\n",
    "hls, address": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile other.mp4\n",
    "concat, absolute": "ffconcat version 1.0\nfile {other}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S" '
    'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
    'bandwidth="1"><BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "asx": '<asx version="3.0"><entry><ref href="{other}"/></entry></asx>',
    "smil": "<smil><body><video src='{other}'/></body></smil>",
    "reference": "[Reference]\nRef1={other}\n",
    "rtsp": "rtsptextRTSP://127.0.0.1/x",
    "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"></CompositionPlaylist>',
}
NAMES = ("12:30:45.mp4", "http:film.mp4", "http:__host_film.mp4", "concat:a|b.mp4", "%d.mp4", "frame%03d.mp4", "-film.mp4", "a b'c\"d.mp4",
         "pipe:0", "film", "ünïcode ひと.mp4", "*?[x].mp4", "subfile,,start,0,end,0,,:x.mp4", "0.mp4", "new\nline.mp4")  # fmt: skip


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".m3u8", ""])
@pytest.mark.parametrize("playlist", PLAYLISTS, ids=str)
def test_a_playlist_is_refused_in_one_line(tmp_path, playlist, suffix):
    other = write_clip(tmp_path / "other.mp4", even_times(2))
    path = tmp_path / f"film{suffix}"
    path.write_text(PLAYLISTS[playlist].replace("{other}", str(other)))
    for source in (path, path.read_bytes()):
        with pytest.raises(ZooError, match="is not a video that can be read") as error:
            open_video(source, "film")
        assert "\n" not in str(error.value) and "MP4, MOV" in str(error.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_picture_is_no_film_whatever_its_name(tmp_path, kind):
    path = tmp_path / "film.mp4"
    Image.fromarray(corners()).save(path, kind)
    with pytest.raises(ZooError, match="is not a video that can be read.*for pictures use `predict`"):
        open_video(path)


def test_numbered_pictures_are_not_found_by_a_pattern(tmp_path):
    for number in range(3):
        Image.fromarray(corners()).save(tmp_path / f"{number}.png")
    for name in ("%d.png", "*.png"):
        with pytest.raises(ZooError, match="there is no video file"):
            open_video(tmp_path / name)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_is_a_name(tmp_path, monkeypatch, name, relative):
    path = write_clip(tmp_path / "film.mp4", even_times(3)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    video = open_video(name if relative else path)
    assert len(list(video.frames())) == 3
    video.close()


def test_a_name_need_not_be_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    os.rename(write_clip(tmp_path / "film.mp4", even_times(3)), path)
    video = open_video(os.fsdecode(path))
    assert len(list(video.frames())) == 3
    video.close()
    open(path, "wb").close()
    with pytest.raises(ZooError) as error:
        open_video(os.fsdecode(path))
    assert "is not a video" in str(error.value)


def test_an_address_is_no_file():
    addresses = "http://127.0.0.1:9/a.mp4", "rtsp://127.0.0.1/a", "file:///etc/hostname", "data:video/mp4;base64,AAAA", "concat:a|b", ""
    for name in addresses:
        with pytest.raises(ZooError, match="there is no video file"):
            open_video(name)


def test_random_bytes_are_refused():
    rng = np.random.default_rng(0)
    for size in (1, 100, 10_000):
        with pytest.raises(ZooError, match="is not a video"):
            open_video(rng.bytes(size), "film")
