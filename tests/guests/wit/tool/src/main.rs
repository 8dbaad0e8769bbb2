//! What the kits' own command-line tools do, from the same crates: bindings for C, and a component out of a core module.
//!
//! Usage: wit-tool c WIT_DIR WORLD OUT_DIR | wit-tool component CORE.wasm OUT.wasm
use anyhow::{bail, Context, Result};
use std::path::Path;
use wit_bindgen_core::{wit_parser::Resolve, Files};

fn bindings(dir: &str, world: &str, out: &str) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(dir)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    for (name, content) in files.iter() {
        std::fs::write(Path::new(out).join(name), content).with_context(|| name.to_owned())?;
    }
    Ok(())
}

fn component(core: &str, out: &str) -> Result<()> {
    let module = std::fs::read(core).with_context(|| core.to_owned())?;
    let bytes = wit_component::ComponentEncoder::default().validate(true).module(&module)?.encode()?;
    std::fs::write(out, bytes).with_context(|| out.to_owned())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["c", dir, world, out] => bindings(dir, world, out),
        ["component", core, out] => component(core, out),
        _ => bail!("usage: wit-tool c WIT_DIR WORLD OUT_DIR | wit-tool component CORE.wasm OUT.wasm"),
    }
}
