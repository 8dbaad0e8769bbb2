"""Each check of `make lint` finds what it is for, on a tree made for it, and passes a clean one."""

import pathlib
import shutil
import subprocess

import pytest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
TABLE = "base:\nloop: base\nwasm/engine: base\nwasm: base wasm/engine\n"


@pytest.fixture
def tree(tmp_path):
    """A clean tree with one file a folder."""
    files = {
        "src/LAYERS": TABLE,
        "ARCHITECTURE.md": TABLE,
        "cmake/folders.cmake": "set(OTR_DEPS_loop dep_uv)\n",
        "src/base/err.h": "int otr_err;\n",
        "src/loop/loop.c": '#include <uv.h>\n#include "base/err.h"\n',
        "src/wasm/engine/wasmtime.c": "#include <wasmtime.h>\n",
        "src/wasm/guest.c": '#include "wasm/engine/engine.h"\n',
    }
    for name, text in files.items():
        put(tmp_path, name, text)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def put(tree, name, text):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def check(name, tree):
    """(exit status, output)"""
    subprocess.run(["git", "-C", str(tree), "add", "-A"], check=True)
    done = subprocess.run([TOOLS / name, tree], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", ["check-layers", "check-banned"])
def test_a_clean_tree_passes(name, tree):
    status, said = check(name, tree)
    assert status == 0, said


@pytest.mark.parametrize("path, line, word", [
    ("src/base/a.c", '#include "loop/loop.h"', "may not include loop/"),
    ("src/base/a.c", '  #  include "loop/loop.h"', "may not include loop/"),
    ("src/base/a.c", '#include "err.h"', "has no folder"),
    ("src/loop/a.c", '#include "base/../wasm/x.h"', "leaves its folder"),
    ("src/base/a.c", "#include <uv.h>", "may not use <uv.h>"),
    ("src/wasm/guest.c", "#include <wasmtime.h>", "engine/<runtime>*.c alone"),
    ("src/wasm/guest.c", "#include <wasmtime/func.h>", "engine/<runtime>*.c alone"),
    ("src/novel/a.c", "", "not in src/LAYERS"),
    ("src/wasm/engine/a.c", '#include "wasm/guest.h"', "wasm/engine/ may not include wasm/"),
    ("src/loop/a.c", '#include "wasm/engine/engine.h"', "loop/ may not include wasm/engine/"),
    ("src/wasm/novel/a.c", "", "wasm/novel: not in src/LAYERS"),
    ("ARCHITECTURE.md", TABLE + "see `src/host`", "there is no folder src/host"),
    ("ARCHITECTURE.md", "base:\nloop:\nwasm: base", "not that table"),
    ("src/LAYERS", "loop: base\nbase:", "not declared before"),
    ("src/LAYERS", TABLE + "mpi: base", "there is no folder src/mpi"),
])
def test_a_breach_of_the_layers_is_named(tree, path, line, word):
    put(tree, path, line + "\n")
    status, said = check("check-layers", tree)
    assert status == 1
    assert word in said


def ring(tree):
    """Two files that use each other's names without a header."""
    put(tree, "src/loop/a.c", "int otr_a(void)\n{\n    return otr_b;\n}\n")
    put(tree, "src/loop/b.c", "int otr_b = 1;\nstatic int use(void)\n{\n    return otr_a();\n}\n")


def test_a_new_ring_between_files_is_named(tree):
    ring(tree)
    status, said = check("check-layers", tree)
    assert status == 1
    assert "does not list: loop/a.c loop/b.c" in said


def test_a_listed_ring_passes_until_it_is_broken(tree):
    ring(tree)
    put(tree, "src/RINGS", "# known\nloop/a.c loop/b.c\n")
    assert check("check-layers", tree)[0] == 0
    put(tree, "src/loop/b.c", "int otr_b = 1; /* otr_a() */\n")
    status, said = check("check-layers", tree)
    assert status == 1
    assert "src/RINGS:2: there is no such ring any more" in said


def test_a_name_that_no_other_file_uses_is_static_or_listed(tree):
    put(tree, "src/base/a.h", "int otr_a(void);\n")
    put(tree, "src/base/a.c", "int otr_a(void)\n{\n    return 0;\n}\nint b(void)\n{\n    return otr_a();\n}\n")
    status, said = check("check-layers", tree)
    assert status == 1
    assert "base/a.c: no other file uses otr_a" in said
    put(tree, "src/EXPORTS", "otr_a  # tests\n")
    assert check("check-layers", tree)[0] == 0
    put(tree, "src/EXPORTS", "# none\notr_a otr_gone\n")
    status, said = check("check-layers", tree)
    assert status == 1
    assert "src/EXPORTS:2: there is no otr_gone" in said


@pytest.mark.parametrize("path, text", [
    ("src/loop/b.c", "int b(void)\n{\n    return otr_a();\n}\n"),
    ("src/main.c", "int main(void)\n{\n    return otr_a();\n}\n"),
    ("src/base/b.h", "static inline int b(void)\n{\n    return otr_a();\n}\n"),
    ("src/base/b.c", "#define B(name) { #name, otr_##name }\n"),
    ("src/base/a.h", "/* What is here is the\n * embedder's. */\nint otr_a(void);\n"),
])
def test_a_name_with_a_use_or_a_mark_may_be_external(tree, path, text):
    put(tree, "src/base/a.h", "int otr_a(void);\n")
    put(tree, "src/base/a.c", "int otr_a(void)\n{\n    return 0;\n}\n")
    put(tree, path, text)
    status, said = check("check-layers", tree)
    assert status == 0, said


def test_a_name_of_a_forbidden_folder_is_found_without_an_include(tree):
    put(tree, "src/loop/loop.c", "int otr_loop_run(void)\n{\n    return 0;\n}\n")
    put(tree, "src/base/err.c", "extern int otr_loop_run(void);\nint otr_x(void)\n{\n    return otr_loop_run();\n}\n")
    status, said = check("check-layers", tree)
    assert status == 1
    assert "base/ may not use otr_loop_run of loop/" in said


@pytest.mark.parametrize("path, line, word", [
    ("src/loop/a.c", "int n = atoi(text);", "atoi() is banned"),
    ("src/loop/a.c", "void *p = malloc(1);", "malloc() outside src/base"),
    ("src/loop/a.c", "long n = strtol(text, NULL, 10);", "without an end pointer"),
    ("src/loop/a.c", "int n; // short", "a // comment"),
    ("src/loop/a.c", "/* TO" "DO: the rest */", "do it, or open an issue"),
    ("docs/a.md", "see /ro" "ot/notes.txt", "a path of one machine"),
])
def test_what_is_banned_is_named_with_file_and_line(tree, path, line, word):
    put(tree, path, "\n" + line + "\n")
    status, said = check("check-banned", tree)
    assert status == 1
    assert f"{path}:2: " in said
    assert word in said


@pytest.mark.parametrize("line", [
    'const char *s = "atoi(x) // strcpy(";',
    "/* malloc() is for src/base */",
    "int n = my_atoi(text) + x.system(1) + x->rand();",
    "int n = atoi(text); /* NOLINT(check-banned): a test of atoi */",
    "long n = strtol(text, &end, 10);",
])
def test_what_only_looks_banned_passes(tree, line):
    put(tree, "src/loop/a.c", line + "\n")
    status, said = check("check-banned", tree)
    assert status == 0, said


def test_malloc_is_allowed_in_base(tree):
    put(tree, "src/base/alloc.c", "void *p = malloc(1);\n")
    assert check("check-banned", tree)[0] == 0


@pytest.mark.skipif(not shutil.which("pmccabe"), reason="pmccabe comes with `tools/deps lint`")
@pytest.mark.parametrize("text, word", [
    ("int x;\n" * 601, "601 lines, at most 600"),
    ("int f(int a)\n{\n" + "    a++;\n" * 60 + "    return a;\n}\n", "lines, at most 60"),
    ("int f(int a)\n{\n" + "    if (a) { a++; }\n" * 15 + "    return a;\n}\n", "complexity 16"),
])
def test_what_is_too_large_is_named(tree, text, word):
    put(tree, "src/loop/a.c", text)
    status, said = check("check-size", tree)
    assert status == 1
    assert word in said
