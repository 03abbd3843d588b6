"""What the environment says, and what holds where it says nothing."""

from pathlib import Path

import pytest

from s2v_core import Settings, SettingsError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the folder of the code: the usual data folder is made where one is."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("environment", "hops", "clips"),
    [
        ({}, 0, None),
        ({"SPACE_ID": "a/b"}, 1, 3),
        ({"S2V_TRUSTED_HOPS": "2", "S2V_CLIPS_PER_VISITOR": "5"}, 2, 5),
        ({"SPACE_ID": "a/b", "S2V_TRUSTED_HOPS": "0", "S2V_CLIPS_PER_VISITOR": "0"}, 0, 0),
    ],
    ids=["nothing", "a Space", "set", "set on a Space"],
)
def test_a_space_is_behind_one_proxy_and_limits_each_visitor(
    environment: dict[str, str], hops: int, clips: int | None
) -> None:
    settings = Settings.from_environment(environment)
    assert (settings.trusted_hops, settings.clips_per_visitor) == (hops, clips)


@pytest.mark.parametrize("text", ["10", "-1", "1.0", "one", "²"])
def test_trusted_hops_are_a_whole_number_up_to_9(text: str) -> None:
    with pytest.raises(SettingsError, match=r"S2V_TRUSTED_HOPS: this is a whole number of proxies, from 0 to 9\."):
        Settings.from_environment({"S2V_TRUSTED_HOPS": text})


@pytest.mark.parametrize("name", ["S2V_CONCURRENT", "S2V_PER_MINUTE"])
@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "1000000", "²"])
def test_a_keys_limits_are_whole_numbers_from_1(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: this is a whole number, from 1 to 999999\."):
        Settings.from_environment({name: text})


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("198.18.0.0/15", ["198.18.0.0/15"]),
        ("198.18.0.1/16, fc00::/18", ["198.18.0.0/16", "fc00::/18"]),
        ("10.1.2.3", ["10.1.2.3/32"]),
    ],
    ids=["one", "two, a tunnel's own address among them", "an address"],
)
def test_file_networks_are_read_with_commas_between(text: str, networks: list[str]) -> None:
    assert list(map(str, Settings.from_environment({"S2V_FILE_NETWORKS": text}).file_networks)) == networks


@pytest.mark.parametrize(
    "text", ["198.18.0.0/33", "tunnel", "10.0.0.0/8,", "10.0.0.0/8 fc00::/18", "10.0.0.0-10.0.0.9"]
)
def test_a_wrong_file_network_ends_the_start_and_is_not_shown(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^S2V_FILE_NETWORKS: these are networks with commas between") as caught:
        Settings.from_environment({"S2V_FILE_NETWORKS": text})
    assert text not in str(caught.value)


@pytest.mark.parametrize("host", ["xn--a.example", "[v1.x]", "ex\u2488mple", "a\0b", "a:99999"])
def test_a_host_that_cannot_be_asked_ends_the_start(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^S2V_BASE_URL: this is no URL\."):
        Settings.from_environment({"S2V_BASE_URL": f"https://{host}/v1"})


def test_names_of_the_page_are_a_list_and_a_space_has_its_own() -> None:
    settings = Settings.from_environment({"S2V_HOSTS": "Page.Example, example.com.", "SPACE_HOST": "a-b.hf.space"})
    assert (settings.hosts, settings.space_host) == (("page.example", "example.com"), "")
    settings = Settings.from_environment({"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space"})
    assert (settings.hosts, settings.space_host) == ((), "a-b.hf.space")


@pytest.mark.parametrize(
    ("environment", "framers"),
    [
        ({"SPACE_HOST": "a-b.hf.space", "S2V_HOSTS": "page.example"}, []),
        ({"SPACE_ID": "a/b", "S2V_HOSTS": "page.example"}, ["https://huggingface.co"]),
        ({"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space"}, ["https://huggingface.co", "https://a-b.hf.space"]),
    ],
    ids=["no Space", "without its host", "a Space"],
)
def test_a_page_may_be_framed_on_a_space_alone(environment: dict[str, str], framers: list[str]) -> None:
    assert Settings.from_environment(environment).framers == framers


@pytest.mark.parametrize(
    "text", [",", "a,,b", "https://a.example", "a.example:80", "a.example/x", "*.example", "a b", "ä.example"]
)
def test_a_name_of_the_page_is_a_name_alone(text: str) -> None:
    with pytest.raises(SettingsError, match="S2V_HOSTS: this is host names, with commas between"):
        Settings.from_environment({"S2V_HOSTS": text})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRADIO_SERVER_PORT", "x"),
        ("GRADIO_SERVER_PORT", ""),
        ("GRADIO_SERVER_PORT", "0"),
        ("GRADIO_SERVER_PORT", "65536"),
        ("GRADIO_SERVER_PORT", "-1"),
        ("GRADIO_NUM_PORTS", "1.5"),
        ("GRADIO_DEBUG", "true"),
        ("GRADIO_NUM_WORKERS", "many"),
        ("GRADIO_TEMP_DIR", "/proc/gradio"),
    ],
)
def test_what_gradio_would_fail_at_is_named(name: str, value: str, tmp_path: Path) -> None:
    from s2v_core.server.start import check_gradio

    with pytest.raises(SettingsError, match=f"^{name}: this "):
        check_gradio({name: value})
    check_gradio({"GRADIO_SERVER_PORT": "7860", "GRADIO_DEBUG": "1", "GRADIO_TEMP_DIR": str(tmp_path / "new")})
