import json
import os
import subprocess
import sys

import numpy as np
import pytest

from nrsfm_learn.io import FileFormatError, _isolated
from nrsfm_learn.io._isolated import run_isolated

posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits are POSIX's")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the body of a function in a child process."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    path = tmp_path / "file.bin"
    path.write_bytes(b"some bytes")

    def run(body, path=path):
        name = f"reader_{len(list(folder.iterdir()))}"
        lines = "\n    ".join(body.strip().splitlines())
        (folder / f"{name}.py").write_text(
            "import ctypes, os, signal, sys, time, warnings\nimport numpy as np\n"
            "from nrsfm_learn.io import FileFormatError\n"
            f"def load(path):\n    {lines}\n",
            encoding="utf-8",
        )
        return run_isolated(name, "load", path)

    return run


def test_arrays_and_values_come_back(run):
    result = run(
        """
array = np.arange(6.0).reshape(2, 3)
array[0, 1] = np.nan
return {"a": array, "b": np.array([True]), "names": np.array(["é", "b"]), "empty": np.empty((0, 3)),
        "status": "mine", "nested": {"x": [1, None, "ü\\0"]}, "size": os.path.getsize(path)}
"""
    )
    np.testing.assert_array_equal(result["a"], [[0, np.nan, 2], [3, 4, 5]])
    assert result["b"].dtype == bool
    assert result["b"].tolist() == [True]
    assert result["names"].tolist() == ["é", "b"]
    assert result["empty"].shape == (0, 3)
    assert result["status"] == "mine"
    assert result["nested"] == {"x": [1, None, "ü\0"]}
    assert result["size"] == 10


def test_many_megabytes_come_back(run):
    result = run("return {'a': np.arange(2_000_000.0)}")
    np.testing.assert_array_equal(result["a"], np.arange(2_000_000.0))


@pytest.mark.parametrize("name", ["-c été 猫.bin", "a'b\"c;$(d).bin"])
def test_paths_of_all_kinds(run, tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(b"123")
    monkeypatch.chdir(tmp_path)
    assert run("return {'size': os.path.getsize(path)}", name) == {"size": 3}
    assert run("return {'size': os.path.getsize(path)}", tmp_path / name) == {"size": 3}


def test_error_of_the_reader_is_raised_here(run, tmp_path):
    with pytest.raises(FileFormatError) as caught:
        run("raise FileFormatError(path, 'it is bad', where='key \"é\"', way_out='Do this.')")
    path = tmp_path / "file.bin"
    assert str(caught.value) == f'{path}, key "é": it is bad. Do this.'
    assert caught.value.where == 'key "é"'


def test_missing_library_is_an_import_error(run):
    with pytest.raises(ImportError, match=r"pip install 'nrsfm-learn\[io\]'"):
        run("raise ImportError(\"It needs h5py: pip install 'nrsfm-learn[io]'\")")
    with pytest.raises(ImportError, match="no_such_module_at_all"):
        run("import no_such_module_at_all")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise KeyError('tracks')", r"cannot be read \(KeyError: 'tracks'\)"),
        ("def f(): f()\nf()", "cannot be read .RecursionError"),
        ("raise OSError('inflate() failed')", "inflate"),
        ("return {'a': np.array([{}], dtype=object)}", "array of objects"),
        ("return {'a': object()}", "not JSON serializable"),
        ("os._exit(3)", "exit status 3"),
        ("os._exit(0)", "broke off"),
        ("sys.exit(0)", "broke off"),
    ],
)
def test_failures_of_the_reader(run, body, message):
    with pytest.raises(FileFormatError, match=message) as caught:
        run(body)
    assert "file.bin" in str(caught.value)


@posix
@pytest.mark.parametrize(
    ("body", "signal"),
    [
        ("ctypes.string_at(0)", "SIGSEGV"),
        ("os.abort()", "SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed"),
    ],
)
def test_crashes_are_errors(run, body, signal):
    with pytest.raises(FileFormatError, match=signal):
        run(body)


@posix
@pytest.mark.parametrize(
    "body",
    ["while True: pass", "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"],
)
def test_endless_loop_is_stopped(run, monkeypatch, body):
    monkeypatch.setattr(_isolated, "_CPU_SECONDS", 0)
    with pytest.raises(FileFormatError, match=r"took too (long|much)"):
        run(body)


def test_waiting_forever_is_stopped_and_leaves_no_process(run, monkeypatch, tmp_path):
    monkeypatch.setattr(_isolated, "_CPU_SECONDS", 1)
    monkeypatch.setattr(_isolated, "_WALL", 3)
    note = tmp_path / "pid"
    with pytest.raises(FileFormatError, match="took too long"):
        run(f"open({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(1000)")
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_no_process_is_left(run):
    pid = run("return {'pid': os.getpid()}")["pid"]
    assert pid != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit the address space")
def test_memory_bomb_is_stopped(run, monkeypatch):
    monkeypatch.setattr(_isolated, "_MEMORY", 1 << 30)
    with pytest.raises(FileFormatError, match="more memory"):
        run("a = np.ones(10 << 30)")


def test_huge_result_is_refused(run, monkeypatch):
    monkeypatch.setattr(_isolated, "_OUTPUT", 1_000_000)
    assert run("return {'a': np.zeros(100_000)}")["a"].shape == (100_000,)
    with pytest.raises(FileFormatError, match="more memory"):
        run("return {'a': np.zeros(100_000), 'b': np.zeros(100_000)}")


def test_larger_files_get_more(run, tmp_path, monkeypatch):
    monkeypatch.setattr(_isolated, "_OUTPUT", 0)
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(1_000_000))
    assert run("return {'a': np.zeros(1_000_000)}", large)["a"].shape == (1_000_000,)


def test_printing_does_no_harm(run, capfd):
    result = run(
        """
for _ in range(100):
    print("x" * 100_000)
    os.write(1, b"y" * 100_000)
    os.write(2, b"z" * 100_000)
sys.stdout.write("no end")
sys.stderr.write("error")
return {"a": np.ones(3)}
"""
    )
    assert result["a"].tolist() == [1, 1, 1]
    assert capfd.readouterr() == ("", "")


def test_child_reads_no_input(run):
    assert run("return {'read': sys.stdin.read()}") == {"read": ""}


def test_current_folder_is_not_imported_from(run, tmp_path, monkeypatch):
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in ("json", "numpy", "zipfile", "h5py", "nrsfm_learn"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported from here')")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    seen = run("return {'path': sys.path}")["path"]
    # An editable install may add folders; the current one must not be among them.
    assert {p for p in sys.path if p} <= set(seen)
    assert not {"", ".", str(folder)} & set(seen)


def test_child_has_the_folders_of_this_process(run, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("VALUE = 5")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run("import only_here\nreturn {'value': only_here.VALUE}") == {"value": 5}


@pytest.mark.parametrize("options", [[], ["-I", "-W", "error"]])
def test_this_package_is_found_wherever_it_lies(options, tmp_path):
    """As in a script, where only sys.path, which the script sets, leads to the package."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(_isolated.__file__)))
    (tmp_path / "f.bin").write_bytes(b"x")
    (tmp_path / "its_reader.py").write_text("def load(path):\n    return {'path': path}\n")
    code = (
        f"import sys; sys.path[:0] = [{root!r}, {str(tmp_path)!r}]\n"
        "from nrsfm_learn.io._isolated import run_isolated\n"
        "import json; print(json.dumps(run_isolated('its_reader', 'load', 'f.bin')))"
    )
    done = subprocess.run(
        [sys.executable, *options, "-c", code], cwd=tmp_path, capture_output=True, check=True
    )
    assert json.loads(done.stdout) == {"path": "f.bin"}


def test_wish_for_strict_warnings_does_not_stop_it(run, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    assert run("warnings.warn('old', DeprecationWarning)\nreturn {'a': 1}") == {"a": 1}


def test_child_loads_no_heavy_library(run):
    loaded = set(run("return {'modules': sorted(sys.modules)}")["modules"])
    assert not loaded & {"torch", "sklearn", "scipy", "pandas", "matplotlib", "h5py"}


@posix
def test_child_that_does_not_start_is_no_fault_of_the_file(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONHOME", str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="did not start"):
        run("return {}")


def test_no_interpreter_is_no_fault_of_the_file(run, monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(RuntimeError, match=r"sys\.executable"):
        run("return {}")


def test_files_that_are_not_there(run, tmp_path):
    with pytest.raises(FileNotFoundError):
        run("return {}", tmp_path / "none.bin")
    (tmp_path / "empty.bin").touch()
    with pytest.raises(FileFormatError, match="empty"):
        run("return {}", tmp_path / "empty.bin")
    with pytest.raises(FileFormatError, match="folder"):
        run("return {}", tmp_path)


@posix
def test_file_that_may_not_be_read(run, tmp_path):
    path = tmp_path / "file.bin"
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    with pytest.raises(PermissionError):
        run("return {}")
