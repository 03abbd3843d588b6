"""The page behind nginx, by the README's lines, below a path that is kept or taken off."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from gradio_client import Client, handle_file

from ..support.forks import ROOT
from ..support.pages import PATIENT, ended, heard, served
from ..support.photos import PORTRAIT
from ..support.ports import free_ports
from ..support.service import PROMPT

pytestmark = pytest.mark.long

LINES = re.search(r"^```nginx\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)[1]
CONFIGURATION = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; user root;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{kept}; {lines} }}
    server {{ listen 127.0.0.1:{off}; {lines_off} }}
    server {{ listen 127.0.0.1:{bare}; location /s2v/ {{ proxy_pass http://127.0.0.1:{page}; }} }}
}}
"""


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not nginx:
        assert os.environ.get("CI") != "true"
        pytest.skip("there is no nginx")
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "page").mkdir()
    ports = dict(zip(("page", "kept", "off", "bare"), free_ports(4), strict=True))
    lines = LINES.replace(":7860", f":{ports['page']}")
    assert lines != LINES
    lines_off = lines.replace(f":{ports['page']};", f":{ports['page']}/;")
    text = CONFIGURATION.format(folder=folder, lines=lines, lines_off=lines_off, **ports)
    (folder / "nginx.conf").write_text(text)
    process = subprocess.Popen([nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    settings = {"S2V_TRUSTED_HOPS": "1", "S2V_HOSTS": "example.com", "GRADIO_ROOT_PATH": "/s2v"}
    try:
        with served(folder / "page", port=ports["page"], S2V_SIMULATOR_SECONDS="0.5", **settings):
            yield ports
        assert "Traceback" not in (folder / "page" / "log").read_text()
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(params=["kept", "off"])
def url(request: pytest.FixtureRequest, ports: dict[str, int]) -> str:
    return f"http://127.0.0.1:{ports[request.param]}/s2v/"


def test_the_page_and_all_that_it_names_are_there(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, headers={"Host": "example.com"}) as http:
        page = http.get("").text
        assert '"root":"http://example.com/s2v"' in page
        names = ["config", "theme.css", "favicon.ico", "gradio_api/info", *re.findall(r'"\./(assets/[^"]+)"', page)]
        names += re.findall(r'http://example\.com/s2v/(gradio_api/file=[^"]*)"', page)
        assert len(names) > 8
        assert {http.get(name).status_code for name in names} == {200}
        assert http.get(re.findall(r'og:image" content="http://example\.com/s2v/(.*?)"', page)[0]).status_code == 200
        manifest = urljoin(url, re.findall(r'rel="manifest" href="(.*?)"', page)[0])
        # Relative to itself.
        for icon in http.get(manifest).json()["icons"]:
            assert http.get(urljoin(manifest, icon["src"])).status_code == 200
        assert httpx.get(url[:-1], trust_env=False).headers["Location"].endswith("/s2v/")


def test_a_program_uploads_follows_and_gets_its_clip(url: str) -> None:
    program = Client(url, verbose=False, httpx_kwargs=PATIENT)
    job = program.predict(photo=handle_file(PORTRAIT), prompt=PROMPT, api_name="/submit")
    assert ended(program, job["ticket"])["state"] == "done"
    assert Path(program.predict(job["ticket"], api_name="/clip")).stat().st_size > 10_000
    asked = {"name": "clip", "arguments": {"ticket": job["ticket"]}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
    with httpx.Client(trust_env=False) as http:
        link = http.post(f"{url}mcp", json=call).json()["result"]["structuredContent"]["uri"]
        assert link.startswith(url)
        assert http.get(link).status_code == 200


def test_a_photo_of_20_mb_gets_through(url: str) -> None:
    answer = httpx.post(f"{url}gradio_api/upload", files={"files": ("me.jpg", bytes(19_900_000))}, trust_env=False)
    assert answer.status_code == 200


def test_each_event_comes_at_once(url: str) -> None:
    with httpx.stream("GET", f"{url}gradio_api/heartbeat/x", trust_env=False, timeout=5) as stream:
        assert next(stream.iter_lines()) == "data: ALIVE"


def test_without_a_header_links_follow_the_browser(ports: dict[str, int]) -> None:
    origin = f"http://127.0.0.1:{ports['bare']}"
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=f"{origin}/s2v/", trust_env=False, timeout=20, headers=headers) as http:
        (path,) = http.post("gradio_api/upload", files={"files": ("me.png", PORTRAIT.read_bytes())}).json()
        number = next(each["id"] for each in http.get("config").json()["dependencies"] if each["api_name"] == "inspect")
        photo = {"path": path, "meta": {"_type": "gradio.FileData"}}
        http.post("gradio_api/queue/join", json={"data": [photo], "fn_index": number, "session_hash": "behind"})
        told = heard(http, "behind").text
    assert f'"url":"{origin}/s2v/gradio_api/file=' in told
