//! One static library with both engines' C APIs, so that C links a single archive.
extern crate wasmi_c_api as _;
extern crate wasmtime_c_api as _;
