"""The page's safety does not hang on the folder it is started from: it listens to this machine alone, or says that it does not."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from demo import guard

APP = Path(__file__).parents[2] / "demo" / "app.py"


def given(address, statistics=False):
    return {"server.address": address, "browser.gatherUsageStats": statistics}.get


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "::1"])
def test_this_machine_alone_needs_no_word(address):
    assert not guard.refusal(given(address)) and not guard.exposure(given(address))


def test_what_leaves_the_machine_is_said_in_one_line():
    said = guard.exposure(given("0.0.0.0", True))
    assert "0.0.0.0" in said and "usage statistics" in said and "\n" not in said
    assert "statistics" not in guard.exposure(given("192.168.1.4"))


def test_without_an_address_the_page_does_not_begin():
    assert "--server.address localhost" in guard.refusal(given(None))


def test_a_line_is_said_once(capsys):
    for _ in range(3):
        guard.say_once(given("10.0.0.7"))
    assert capsys.readouterr().err.count("10.0.0.7") == 1


def started(folder, *words, **environment):
    """Starts the page from a folder; returns the process and its port."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.headless", "true", "--server.port", str(port), *words]
    return subprocess.Popen(command, cwd=folder, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT), port


def listened_on(port):
    """Returns the local addresses of the sockets that listen on a port, as the kernel writes them."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            lines = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            found += [line[1].split(":")[0] for line in lines if line[3] == "0A" and int(line[1].split(":")[1], 16) == port]
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="the kernel's tables tell who listens")
def test_started_from_another_folder_it_listens_to_this_machine_alone(tmp_path):
    page, port = started(tmp_path, HOME=str(tmp_path))
    try:
        for _ in range(300):
            with suppress(OSError), urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2):
                break
            assert page.poll() is None, page.stdout.read().decode()
            time.sleep(0.2)
        assert listened_on(port) and all(address in ("0100007F", "00000000000000000000000001000000") for address in listened_on(port))
    finally:
        page.terminate()
        said = page.communicate(timeout=20)[0].decode()
    assert "External URL" not in said and "Network URL" not in said and "usage statistics" not in said.lower()
