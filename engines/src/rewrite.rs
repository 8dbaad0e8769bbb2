//! Extism guests reach Extism memory through imported functions, a call for each 8 bytes. This
//! rewrites such calls into loads and stores on the kernel's memory, imported as a second memory.
//!
//! What must hold, because src/wasm/abi/extism_kernel.wat is the other half:
//! - the kernel exports "memory" and the i64 global "outrider:limit" (bytes of memory - 519);
//! - its root block has the words INPUT_OFFSET to INPUT_LIMIT below;
//! - an offset is inside if `offset - 512 < limit` (8 bytes) or `< limit + 7` (1 byte), unsigned.
//!
//! A guest cannot see a difference: the checks are the kernel's own, on the same values, and the
//! imports stay, for indirect calls and for whatever is not rewritten.
use std::collections::HashMap;

use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::*;
use wasmparser::{Operator, Parser, Payload, TypeRef};

use crate::debug::{self, AddressMap};
use crate::survey;

const KERNEL: [&str; 2] = ["extism:host/env", "env"];
const MEMORY: u32 = 0; // ours come first, so every index of the guest moves up by one
const LIMIT: u32 = 0;
const INPUT_OFFSET: u64 = 8;
const INPUT_LENGTH: u64 = 16;
const OUTPUT_OFFSET: u64 = 24;
const OUTPUT_LENGTH: u64 = 32;
const INPUT_LIMIT: u64 = 48;

type Result<T> = std::result::Result<T, reencode::Error<String>>;

fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(reencode::Error::UserError(why.into()))
}

#[derive(Clone, Copy, PartialEq)]
enum Access {
    Load8,
    Load64,
    Store8,
    Store64,
    InputLoad8,
    InputLoad64,
    InputLength,
    InputOffset,
    OutputSet,
}

/// The import's meaning if both its name and its type are as the ABI has them.
fn access(name: &str, ty: &wasmparser::FuncType) -> Option<Access> {
    use wasmparser::ValType::{I32, I64};
    let name = name.strip_prefix("extism_").unwrap_or(name);
    let (access, params, results): (_, &[_], &[_]) = match name {
        "load_u8" => (Access::Load8, &[I64], &[I32]),
        "load_u64" => (Access::Load64, &[I64], &[I64]),
        "store_u8" => (Access::Store8, &[I64, I32], &[]),
        "store_u64" => (Access::Store64, &[I64, I64], &[]),
        "input_load_u8" => (Access::InputLoad8, &[I64], &[I32]),
        "input_load_u64" => (Access::InputLoad64, &[I64], &[I64]),
        "input_length" => (Access::InputLength, &[], &[I64]),
        "input_offset" => (Access::InputOffset, &[], &[I64]),
        "output_set" => (Access::OutputSet, &[I64, I64], &[]),
        _ => return None,
    };
    (ty.params() == params && ty.results() == results).then_some(access)
}

/// What must be known of a module before its code is read.
#[derive(Default)]
struct Plan {
    replaced: HashMap<u32, Access>,
    params: Vec<u32>, // of each type
    types: Vec<u32>,  // of each function with a body
}

impl Plan {
    fn of(wasm: &[u8]) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut types = Vec::new();
        let mut functions = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(section) => {
                    for ty in section.into_iter_err_on_gc_types() {
                        let ty = ty?;
                        plan.params.push(ty.params().len() as u32);
                        types.push(ty);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        match import.ty {
                            TypeRef::Memory(_) => return refuse("it imports a memory"),
                            TypeRef::Func(ty) => {
                                let ty = types.get(ty as usize);
                                let known = KERNEL.contains(&import.module);
                                if let (true, Some(ty)) = (known, ty) {
                                    if let Some(access) = access(import.name, ty) {
                                        plan.replaced.insert(functions, access);
                                    }
                                }
                                functions += 1;
                            }
                            _ => {}
                        }
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        if memory?.memory64 {
                            return refuse("it has a 64-bit memory");
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        plan.types.push(ty?);
                    }
                }
                _ => {}
            }
        }
        if plan.replaced.is_empty() {
            return refuse("it imports none of the functions that can be replaced");
        }
        Ok(plan)
    }
}

struct Rewriter {
    plan: Plan,
    wasm_len: usize,
    next: usize,  // function body
    sites: usize, // calls replaced
    map: AddressMap,
    code_start: usize, // of the old code section's contents
    count_len: usize,  // bytes of its function count: the same before and after
    debug: Vec<(String, Vec<u8>)>,
}

/// Writes the replacement of one call. Its operands are on the stack; `local` is the first of
/// three scratch locals: i64, i64, i32.
fn emit(access: Access, local: u32, sink: &mut InstructionSink<'_>) {
    let at = |offset, align| MemArg { offset, align, memory_index: MEMORY };
    let (address, value, byte) = (local, local + 1, local + 2);
    match access {
        Access::Store64 => _ = sink.local_set(value),
        Access::Store8 => _ = sink.local_set(byte),
        Access::InputLength => {
            sink.i32_const(0).i64_load(at(INPUT_LENGTH, 3));
            return;
        }
        Access::InputOffset => {
            sink.i32_const(0).i64_load(at(INPUT_OFFSET, 3));
            return;
        }
        Access::OutputSet => {
            sink.local_set(value).local_tee(address).i64_const(512).i64_sub();
            sink.global_get(LIMIT).i64_const(7).i64_add().i64_lt_u();
            sink.local_get(value).global_get(LIMIT).i64_const(519).i64_add();
            sink.local_get(address).i64_sub().i64_le_u().i32_and().if_(BlockType::Empty);
            sink.i32_const(0).local_get(address).i64_store(at(OUTPUT_OFFSET, 3));
            sink.i32_const(0).local_get(value).i64_store(at(OUTPUT_LENGTH, 3)).end();
            return;
        }
        _ => {}
    }
    sink.local_tee(address);
    match access {
        Access::InputLoad64 => _ = sink.i32_const(0).i64_load(at(INPUT_LIMIT, 3)),
        Access::InputLoad8 => _ = sink.i32_const(0).i64_load(at(INPUT_LENGTH, 3)),
        Access::Load8 | Access::Store8 => {
            sink.i64_const(512).i64_sub().global_get(LIMIT).i64_const(7).i64_add();
        }
        _ => _ = sink.i64_const(512).i64_sub().global_get(LIMIT),
    }
    sink.i64_lt_u().if_(match access {
        Access::Store8 | Access::Store64 => BlockType::Empty,
        Access::Load8 | Access::InputLoad8 => BlockType::Result(ValType::I32),
        _ => BlockType::Result(ValType::I64),
    });
    sink.local_get(address);
    if matches!(access, Access::InputLoad8 | Access::InputLoad64) {
        sink.i32_const(0).i64_load(at(INPUT_OFFSET, 3)).i64_add();
    }
    sink.i32_wrap_i64();
    match access {
        Access::Store64 => sink.local_get(value).i64_store(at(0, 0)),
        Access::Store8 => sink.local_get(byte).i32_store8(at(0, 0)),
        Access::Load8 | Access::InputLoad8 => sink.i32_load8_u(at(0, 0)).else_().i32_const(0),
        _ => sink.i64_load(at(0, 0)).else_().i64_const(0),
    };
    sink.end();
}

impl Reencode for Rewriter {
    type Error = String;

    fn memory_index(&mut self, memory: u32) -> Result<u32> {
        memory.checked_add(1).ok_or(reencode::Error::InvalidConstExpr)
    }

    fn global_index(&mut self, global: u32) -> Result<u32> {
        global.checked_add(1).ok_or(reencode::Error::InvalidConstExpr)
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: wasmparser::ImportSectionReader<'_>,
    ) -> Result<()> {
        let memory = MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        };
        let limit = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        imports.import(KERNEL[0], "memory", memory);
        imports.import(KERNEL[0], "outrider:limit", limit);
        reencode::utils::parse_import_section(self, imports, section)
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<()> {
        self.code_start = section.range().start;
        let mut count = Vec::new();
        section.count().encode(&mut count);
        self.count_len = count.len();
        reencode::utils::parse_code_section(self, code, section)
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: wasmparser::FunctionBody<'_>,
    ) -> Result<()> {
        let ty = self.plan.types.get(self.next).copied();
        let params = ty.and_then(|ty| self.plan.params.get(ty as usize)).copied();
        let Some(mut local) = params else {
            return refuse("a function has no type");
        };
        self.next += 1;
        let mut locals = Vec::new();
        for group in body.get_locals_reader()? {
            let (n, ty) = group?;
            local = local.checked_add(n).ok_or(reencode::Error::InvalidConstExpr)?;
            locals.push((n, self.val_type(ty)?));
        }

        let mut code_only = Function::new([]); // its one byte of locals is replaced below
        let mut marks = Vec::new(); // old offset, new offset in code_only
        let sites = self.sites;
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            marks.push((reader.original_position(), code_only.byte_len() - 1));
            let op = reader.read()?;
            if let Operator::Call { function_index } = op {
                if let Some(access) = self.plan.replaced.get(&function_index) {
                    emit(*access, local, &mut code_only.instructions());
                    self.sites += 1;
                    continue;
                }
            }
            code_only.instruction(&self.instruction(op)?);
        }
        if self.sites > sites {
            locals.extend([(2, ValType::I64), (1, ValType::I32)]);
        }
        let mut whole = Function::new(locals);
        let prologue = whole.byte_len();
        whole.raw(code_only.into_raw_body().into_iter().skip(1));

        code.function(&whole);
        if code.byte_len() > self.wasm_len.saturating_mul(2).saturating_add(1 << 16) {
            return refuse("it would more than double in size");
        }
        let end = self.count_len + code.byte_len();
        let start = end - whole.byte_len();
        let old = body.range();
        self.map.add(old.start - self.code_start, start);
        for (old, new) in marks {
            self.map.add(old - self.code_start, start + prologue + new);
        }
        self.map.add(old.end - self.code_start, end);
        Ok(())
    }

    /// Sections that speak of code by its offset would now be wrong.
    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<()> {
        let name = section.name();
        if name.starts_with(".debug_") {
            self.debug.push((name.to_string(), section.data().to_vec()));
            return Ok(());
        }
        let by_offset = ["metadata.code.", "reloc."].iter().any(|p| name.starts_with(p))
            || ["linking", "sourceMappingURL", "external_debug_info"].contains(&name);
        if by_offset {
            return Ok(());
        }
        reencode::utils::parse_custom_section(self, module, section)
    }
}

fn rewrite(wasm: &[u8]) -> Result<Vec<u8>> {
    let plan = Plan::of(wasm)?;
    // From here on the module is known to be well-formed: the encoder relies on it.
    wasmparser::Validator::new_with_features(survey::offered()).validate_all(wasm)?;
    let mut rewriter = Rewriter {
        plan,
        wasm_len: wasm.len(),
        next: 0,
        sites: 0,
        map: AddressMap::default(),
        code_start: 0,
        count_len: 0,
        debug: Vec::new(),
    };
    let mut module = Module::new();
    rewriter.parse_core_module(&mut module, Parser::new(0), wasm)?;
    if rewriter.sites == 0 {
        return refuse("it calls none of the functions that can be replaced");
    }
    for (name, data) in debug::moved(&rewriter.debug, &rewriter.map) {
        module.section(&CustomSection { name: name.into(), data: data.into() });
    }
    Ok(module.finish())
}

/// Returns the new module, or why there is none.
pub fn rewrite_extism(wasm: &[u8]) -> std::result::Result<Vec<u8>, String> {
    if !wasm.starts_with(b"\0asm\x01\0\0\0") {
        return Err("it is not a binary core module".into());
    }
    rewrite(wasm).map_err(|e| match e {
        reencode::Error::UserError(why) => why,
        other => other.to_string(),
    })
}
