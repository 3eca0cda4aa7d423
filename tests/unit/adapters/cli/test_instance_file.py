"""An instance file makes a request, or an error that doesn't quote it."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgdrive_virt import ConfigDriveRequest
from cfgdrive_virt.adapters.cli import instance_file
from cfgdrive_virt.adapters.cli.instance_file import load
from cfgdrive_virt.exception import InvalidRequest

from ...samples import UUID, document, request

ANCHORS = "must not contain anchors or aliases (&, *); quote the text"
KEYS = "must not have a list or mapping as a key"
TAGS = "must not contain tags (!); quote the text"

LEAST = f"uuid: {UUID}\nname: web-1\nhostname: web-1\n"
SECRET = "hunter2"


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def parser(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Run every test with libyaml's parser, and as if it were not there."""
    assert instance_file._FAST is yaml.CSafeLoader
    if request.param == "python":
        monkeypatch.setattr(instance_file, "_FAST", None)
    return str(request.param)


def read(text: str | bytes) -> ConfigDriveRequest:
    data = text.encode() if isinstance(text, str) else text
    return load(data, "web.yaml")


def with_lines(lines: str) -> ConfigDriveRequest:
    return read(f"{LEAST}{lines}\n")


def refusal(text: str | bytes) -> str:
    """Return the error of a whole file, less its first line."""
    with pytest.raises(InvalidRequest) as caught:
        read(text)
    lead, _, problems = str(caught.value).partition("\n")
    assert lead == "web.yaml is not valid:"
    return problems


def test_the_sample_is_valid_and_has_every_field(
    sample: ConfigDriveRequest,
) -> None:
    least = request()
    same = {
        name
        for name in sample.__dataclass_fields__
        if getattr(sample, name) == getattr(least, name)
    }
    assert same == {
        "uuid", "name", "hostname", "launch_index", "launched",
        "network_config", "instance_id",
    }  # fmt: skip


def test_yaml_and_json_make_the_same_request() -> None:
    fields = {"metadata": {"role": "é"}, "launch_index": 2}
    assert read(json.dumps(document(**fields))) == with_lines(
        "metadata: {role: é}\nlaunch_index: 2"
    )


@pytest.mark.parametrize(
    "text",
    [
        LEAST,
        f"\ufeff{LEAST}",
        f"---\n{LEAST}...\n",
        f"# comment\n{LEAST}",
        LEAST.replace("\n", "\r\n"),
        json.dumps(document()),
        f"\ufeff {json.dumps(document(), indent=2)}\n",
        f"{{uuid: {UUID}, name: web-1, 'hostname': web-1}}",
    ],
    ids=[
        "yaml", "yaml-bom", "document", "comment", "crlf", "json",
        "json-bom", "flow",
    ],
)  # fmt: skip
def test_a_file_may_be_written_in_many_ways(text: str) -> None:
    assert read(text) == request()


def test_json_is_read_with_its_own_escapes() -> None:
    text = json.dumps(document(name="/😀")).replace("/", r"\/")
    assert read(text).name == "/😀"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"", "nothing"),
        (b"\n# only\n", "nothing"),
        (b"[1, 2]", "a list of 2"),
        (b"- a\n", "a list of 1"),
        (b"hunter2", "a string of 7"),
        (b"5", "a number"),
        (b"true", "a boolean"),
        (b"2001-01-01", "date"),
    ],
)
def test_at_the_top_there_is_a_mapping(text: bytes, what: str) -> None:
    assert refusal(text) == f"  must be a mapping, not {what}"


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("network: {interfaces: [{mac: 11:22:33:44:55:06}]}",
         "network.interfaces[0].mac"),
        ("flavor: no", "flavor"),
        ("flavor: 1_000", "flavor"),
        ("flavor: 1:30", "flavor"),
        ("flavor: 010", "flavor"),
        ("flavor: 1.5", "flavor"),
        ("project_id: 2001-01-01", "project_id"),
        ("project_id: 12345678901234567890123456789012", "project_id"),
        ("metadata: {debug: yes}", "metadata"),
        ("metadata: {cpus: 4}", "metadata"),
        ("metadata: {on: x}", "metadata"),
        ("image_properties: {hw_qemu_guest_agent: true}", "image_properties"),
        ("config_drive: 'yes'", "config_drive"),
        ("launch_index: '1'", "launch_index"),
        ("launch_index: yes", "launch_index"),
        ("launch_index: 1.0", "launch_index"),
        ("admin_pass: 12345", "admin_pass"),
        ("admin_pass: 2001-01-01", "admin_pass"),
        ("admin_pass: off", "admin_pass"),
        ("admin_pass: .inf", "admin_pass"),
        ("vendor_data: {until: 2001-01-01}", "vendor_data"),
        ("vendor_data: {on: x}", "vendor_data"),
        ("vendor_data: .nan", "vendor_data"),
        ("dedicated_cpus: 2-3", "dedicated_cpus"),
    ],
)  # fmt: skip
def test_what_yaml_makes_of_it_is_told_where_it_stands(
    line: str, path: str
) -> None:
    assert refusal(f"{LEAST}{line}\n").startswith(f"  {path}: must ")


def test_an_unquoted_mac_is_told_how_to_write_it() -> None:
    mac = "network: {interfaces: [{mac: 11:22:33:44:55:06}]}"
    assert "in quotes, such as 'fa:16:3e:" in refusal(f"{LEAST}{mac}\n")


def test_binary_is_bytes() -> None:
    made = with_lines("user_data: !!binary aGVsbG8=")
    assert made.user_data == b"hello"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{LEAST}name: other\n", "line 4: must not repeat a key"),
        ("a: 1\nb: {c: 1,\n c: 2}", "line 3: must not repeat a key"),
        ("- {a: 1, a: 2}", "line 1: must not repeat a key"),
        ("1: a\n0x1: b", "line 2: must not repeat a key"),
        ('{"a": 1, "a": 2}', "a string of 1: must not appear twice"),
        ('{"a": [{"b": 1, "b": 1}]}', "a string of 1: must not appear twice"),
        ("a: &x 1\nb: *x", f"line 1: {ANCHORS}"),
        ("a: b\nc: *x", f"line 2: {ANCHORS}"),
        ("a: &x [*x]", f"line 1: {ANCHORS}"),
        ("a: b\n&x c: d", f"line 2: {ANCHORS}"),
        ("a: b\nc: !d e", f"line 2: {TAGS}"),
        ("a: !!str b", f"line 1: {TAGS}"),
        ("a: !!python/name:os.system x", f"line 1: {TAGS}"),
        ("a: b\n!d c: e", f"line 2: {TAGS}"),
        ("a: ! b", f"line 1: {TAGS}"),
        ("a: ! 'b'", f"line 1: {TAGS}"),
        ("a: ! [b]", f"line 1: {TAGS}"),
        ("a: ! {b: c}", f"line 1: {TAGS}"),
        ("a: !!binary [b]", f"line 1: {TAGS}"),
        ("a: b\n? [c]\n: d", f"line 2: {KEYS}"),
        ("a: b\n? {c: d}\n: e", f"line 2: {KEYS}"),
        ("a: b\n---\nc: d", "line 2: must not have a second document"),
        ("a: {b: c}\n<<: {d: e}", "line 2: must not contain merge keys (<<)"),
        ("a: <<", "line 1: must not contain merge keys (<<)"),
        ('{"name": NaN}', "must not contain NaN, which is not valid JSON"),
        (
            '{"a": [-Infinity]}',
            "must not contain -Infinity, which is not valid JSON",
        ),
        ('{"a": ' + "9" * 5000 + "}", "must not contain such a long number"),
        (b"name: \xff", "byte 6: must be UTF-8"),
        (b"\xff\xfen\0", "byte 0: must be UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "byte 0: must be UTF-8"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_could_be_read_in_two_ways_is_refused(
    text: str | bytes, problem: str
) -> None:
    assert refusal(text) == f"  {problem}"


def outcome(text: str) -> str:
    """Return what a YAML file is read as, or why it is not."""
    try:
        return repr(instance_file._parse_yaml(text))
    except RecursionError:
        return "nested too deeply"
    except InvalidRequest as error:
        return str(error)


def test_libyaml_reads_a_file(parser: str, monkeypatch: Any) -> None:
    monkeypatch.delattr(yaml, "SafeLoader")
    if parser == "libyaml":
        assert read(LEAST) == request()
    else:
        with pytest.raises(AttributeError):
            read(LEAST)


#: What libyaml accepts, or reads in another way.
READ_OTHERWISE = {
    "tab": "a: b\t",
    "tab-behind-a-block": "a: |\t\n  b",
    "comment": "a: |#b\n  c",
    "comment-behind-a-chomp": "a: >-#b\n  c",
    "comment-behind-a-digit": "a: |2#b\n  c",
    "comment-behind-a-plus": "a: |+#b\n  c",
    "question-mark": "{a: b? }",
    "byte-order-mark": "a: b\n\ufeff",
    "byte-order-marks": "\ufeff\ufeffa: b",
}


@pytest.mark.parametrize("name", READ_OTHERWISE)
def test_what_libyaml_reads_otherwise_is_read_as_without_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = outcome(READ_OTHERWISE[name])
    monkeypatch.setattr(instance_file, "_FAST", None)
    assert found == outcome(READ_OTHERWISE[name])


def test_many_directives_are_not_for_libyaml(
    parser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It compares each one with all before it.
    def refuse(_: str) -> None:
        raise AssertionError

    if parser == "libyaml":
        monkeypatch.setattr(instance_file, "_FAST", refuse)
    lines = [f"%TAG !{number}! x\n" for number in range(9)]
    assert read(f"{''.join(lines)}---\n{LEAST}") == request()


def test_a_few_lines_do_not_become_terabytes() -> None:
    lines = ["l0: &l0 [ha]"]
    lines += [
        f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)
    ]
    assert refusal("\n".join(lines)) == f"  line 1: {ANCHORS}"


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 5000,
        "a: " + "{a: " * 5000,
        "- " * 5000 + "a",
        '{"a":' * 100_000,
        '{"a":' + "[" * 100_000,
        LEAST + "vendor_data: " + "[" * 200 + "]" * 200,
    ],
    ids=["list", "mapping", "block", "json", "json-list", "vendor-data"],
)
def test_what_is_too_deep_is_refused(text: str) -> None:
    assert "must" in refusal(text)


#: What breaks a line of YAML, each with a secret on it.
BROKEN = {
    "tab": f"\tadmin_pass: {SECRET}",
    "no-colon": f"admin_pass:{SECRET}\nlaunched: true",
    "quote": f'admin_pass: "{SECRET}',
    "escape": f'admin_pass: "{SECRET}\\q"',
    "percent": f"admin_pass: %{SECRET}",
    "at": f"admin_pass: @{SECRET}",
    "backquote": f"admin_pass: `{SECRET}`",
    "exclamation": f"admin_pass: !{SECRET}",
    "exclamations": f"admin_pass: !{SECRET}!x",
    "two-exclamations": f"admin_pass: !!{SECRET} x",
    "verbatim": f"admin_pass: !<{SECRET}> x",
    "star": f"admin_pass: *{SECRET}",
    "ampersand": f"admin_pass: &{SECRET} x\nvendor_data: &{SECRET} y",
    "pipe": f"admin_pass: |{SECRET}",
    "brace": f"admin_pass: {{{SECRET}",
    "bracket": f"admin_pass: [{SECRET}",
    "colon": f"admin_pass: x: {SECRET}",
    "indent": f"  admin_pass: {SECRET}",
    "directive": f"%{SECRET}\n---\na: b",
    "nul": f"admin_pass: {SECRET}\0",
    "control": f"admin_pass: {SECRET}\x1b",
    "second-document": f"---\nadmin_pass: {SECRET}",
    "behind-the-end": f"...\n{SECRET}: x",
    "bool": f"launched: !!bool {SECRET}",
    "int": f"launch_index: !!int {SECRET}",
    "no-int": f"launch_index: !!int ''\nadmin_pass: {SECRET}",
    "float": f"launch_index: !!float {SECRET}",
    "no-float": f"launch_index: !!float ''\nadmin_pass: {SECRET}",
    "timestamp": f"admin_pass: !!timestamp {SECRET}",
    "binary": f"admin_pass: !!binary {SECRET}é",
    "map-of-list": f"metadata: !!map [{SECRET}]",
    "map-of-text": f"metadata: !!map {SECRET}",
    "set": f"metadata: !!set {{{SECRET}}}",
    "set-of-list": f"metadata: !!set [{SECRET}]",
    "omap": f"metadata: !!omap [{SECRET}: {SECRET}]",
    "pairs": f"metadata: !!pairs [{SECRET}: {SECRET}]",
    "seq-of-text": f"dns: !!seq {SECRET}",
    "str-of-list": f"admin_pass: !!str [{SECRET}]",
    "merge": f"<<: {SECRET}",
    "merge-list": f"<<: [{SECRET}]",
    "value": f"admin_pass: =\nflavor: {SECRET}\n\tx",
    "list-as-key": f"? [{SECRET}]\n: {SECRET}",
    "mapping-as-key": f"? {{{SECRET}: 1}}\n: {SECRET}",
    "python": f"name: !!python/object/apply:os.system ['echo {SECRET}']",
    "python-name": f"admin_pass: !!python/name:os.{SECRET}",
    "python-tuple": f"admin_pass: !!python/tuple [{SECRET}]",
    "hexadecimal": f"launch_index: 0x{'f' * 5000}\nadmin_pass: [{SECRET}]",
    "sexagesimal": f"launch_index: 1{':1' * 5000}\nadmin_pass: [{SECRET}]",
    "bad-date": f"project_id: 2001-99-99\nadmin_pass: {SECRET}",
    "unknown": f"password: {SECRET}",
    "misspelt": f"admin_pas: {SECRET}",
    "json": f'{{"admin_pass": "{SECRET}"',
    "json-twice": f'{{"a": "{SECRET}", "a": "{SECRET}"}}',
    "json-nan": f'{{"admin_pass": "{SECRET}", "a": NaN}}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_error_tells_where_and_does_not_quote(name: str) -> None:
    text = BROKEN[name]
    whole = text if text.startswith(("{", "%")) else f"{LEAST}{text}\n"
    assert SECRET not in refusal(whole)


@pytest.mark.parametrize("name", BROKEN)
def test_a_traceback_does_not_quote_either(name: str) -> None:
    # Whoever embeds us logs errors with their tracebacks.
    text = BROKEN[name]
    whole = text if text.startswith(("{", "%")) else f"{LEAST}{text}\n"
    with pytest.raises(InvalidRequest) as caught:
        read(whole)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_line_that_is_wrong_is_told_by_its_number() -> None:
    assert refusal(f"{LEAST}\tx: y").startswith(
        "  line 4, column 1: must be YAML"
    )


@pytest.mark.parametrize(
    "text",
    [
        f"root:$6${SECRET}$hash:19000:0:99999:7:::\nbin:*:1::::::\n",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n",
        f"machine example.org login me password {SECRET}\n",
        f"export PASSWORD={SECRET}\n",
        f"[database]\nconnection = mysql://nova:{SECRET}@host/nova\n",
        f"<domain><password>{SECRET}</password></domain>",
    ],
    ids=["shadow", "key", "netrc", "shell", "nova-conf", "xml"],
)
def test_another_file_given_by_mistake_is_not_quoted(text: str) -> None:
    assert SECRET not in refusal(text)


def test_an_error_stays_short_whatever_the_file() -> None:
    assert len(refusal(f"{LEAST}{'x' * 100_000}: y\n")) < 2000


def test_a_file_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cfgdrive_virt.adapters.cli.instance_file.MAX_BYTES", 1000
    )
    read(LEAST.ljust(1000))
    assert refusal(LEAST.ljust(1001)) == "  must be at most 1,000 bytes"


def test_what_is_large_has_to_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    # PyYAML takes its time.
    monkeypatch.setattr(
        "cfgdrive_virt.adapters.cli.instance_file._MAX_YAML", 1000
    )
    read(LEAST.ljust(1000))
    words = "must be JSON if it is larger than 1,000 bytes"
    assert refusal(LEAST.ljust(1001)) == f"  {words}"
    assert read(json.dumps(document()).ljust(2000)) == request()


#: What PyYAML quotes in errors of its own, in one way or the other.
QUOTED = (
    f"admin_pass: @{SECRET}",
    f"admin_pass: `{SECRET}",
    f"admin_pass: %{SECRET}",
    f'admin_pass: "\\{SECRET}"',
    f'admin_pass: "\\x{SECRET}"',
    f"admin_pass: !{SECRET}'x",
    f"admin_pass: !<{SECRET}'> x",
    f"admin_pass: !{SECRET}!x y",
    f"admin_pass: &{SECRET}' x",
    f"admin_pass: *{SECRET}' x",
    f"%TAG ! {SECRET}'",
    f"admin_pass: |{SECRET}",
    f"admin_pass: [{SECRET}}}",
)


@pytest.mark.parametrize("line", QUOTED)
def test_nothing_that_pyyaml_quotes_is_told(line: str) -> None:
    told = refusal(f"{LEAST}{line}\n")
    assert SECRET not in told
    assert not set(told) & set("'`@%\\")


@pytest.mark.parametrize("line", QUOTED)
def test_no_cause_of_an_error_is_told_in_a_traceback(line: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(f"{LEAST}{line}\n")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    whole = "".join(traceback.format_exception(caught.value))
    assert whole.count("Traceback") == 1
    assert SECRET not in whole


def test_a_json_file_that_is_broken_is_told_by_its_line() -> None:
    told = refusal(f'{{\n"name": "{SECRET}"\n"uuid": 1}}')
    assert told == "  line 3, column 1: must be JSON, or YAML"


@pytest.mark.parametrize("text", ['{"' + SECRET + ' x": 1', f"{SECRET} x: 1"])
def test_a_key_that_is_no_name_is_not_quoted(text: str) -> None:
    whole = text + ', "a": 1}' if text.startswith("{") else f"{LEAST}{text}\n"
    told = refusal(whole)
    assert "a string of 9: unknown field" in told
    assert SECRET not in told


def test_a_key_too_long_to_print_is_an_error_like_any_other() -> None:
    assert "a number: unknown field" in refusal(f"{LEAST}? 0x{'f' * 5000}\n")


def loads_or_refuses(data: bytes) -> None:
    try:
        found: Any = load(data, "fuzz")
    except InvalidRequest:
        return
    assert isinstance(found, ConfigDriveRequest)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_loaded_or_refused(data: bytes) -> None:
    loads_or_refuses(data)


_TOKENS = st.sampled_from(
    [
        "a", "uuid", "name", "network", "devices", "vendor_data", ": ", "\n",
        "\n  ", "- ", "[", "]", "{", "}", ", ", "? ", "&a ", "*a", "!", "!a ",
        "!!", "!!str ", "!!int ", "!!bool ", "!!float ", "!!null ", "!!map ",
        "!!set ", "!!seq ", "!!omap ", "!!pairs ", "!!binary ", "!!merge ",
        "!!value ", "!!timestamp ", "<<: ", "=", "|", ">", "'", '"', "\\", "#",
        "%", "@", "`", "---\n", "...\n", "\t", "0x1", "1:2", "1.5", ".nan",
        "2001-01-01", "yes", "~", "type: nic", "base64: ", "\0", "\ufeff",
        '"a": ', '"uuid"', "é", "0b", "-", "+", "_", ".", "1e5", "NaN",
        "\u2028", "\x85", "%YAML 1.1\n", "%TAG ! a\n",
    ]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(_TOKENS, max_size=14).map("".join))
def test_anything_that_looks_like_yaml_is_loaded_or_refused(text: str) -> None:
    loads_or_refuses(text.encode())


@settings(max_examples=1500, deadline=None)
@given(st.lists(_TOKENS, max_size=14).map("".join))
def test_anything_is_read_alike_with_libyaml_and_without(text: str) -> None:
    found = outcome(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instance_file, "_FAST", None)
        assert found == outcome(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from([UUID, "nic", "fa:16:3e:00:00:01", "::1/64", 2**70]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.text(max_size=3)
        | st.sampled_from(
            [
                "uuid", "name", "hostname", "network", "interfaces", "mac",
                "subnets", "type", "devices", "keypairs", "base64", "content",
                "user_data", "vendor_data", "metadata", "vlans", "bonds",
                "injected_files", "path", "ec2", "dns", "routes",
            ]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(_JSON, st.booleans())
def test_any_json_is_loaded_or_refused(value: Any, complete: bool) -> None:
    if complete and isinstance(value, dict):
        value = document() | value
    loads_or_refuses(json.dumps(value).encode())


def test_a_large_file_that_begins_as_json_is_not_tried_as_yaml(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(instance_file, "_parse_yaml", pytest.fail)
    nested = "[" * 40_000 + "]" * 40_000
    told = refusal(f'{{"name": "{SECRET}", "a": {nested} "b": 1}}')
    assert told in (
        f"  line 1, column {len(nested) + 37}: must be JSON",
        "  must not be nested too deeply",
    )
    told = refusal(f'{{"name": "{SECRET}" "a": "{"x" * 70_000}"}}')
    assert "must be JSON" in told
    assert "YAML" not in told
