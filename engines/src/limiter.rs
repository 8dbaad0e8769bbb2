//! One account for all memories and tables of a sandbox: its guest, the modules linked to it and the kernel. Both
//! engines ask it before they allocate, so what has no export counts like the rest. See `otr_limiter` in
//! include/outrider_engines.h.
use wasmi_c_api::wasmi::{self, errors};
use wasmi_core::LimiterError;
use wasmtime_c_api::{wasmtime, wasmtime_store_t, WasmtimeStore};

/// What an element of a table takes: a pointer, in the larger of the two engines.
const ELEMENT: usize = 8;
/// So much of tables is free: a guest that needs exactly the memory it may have is not refused for its function table.
const FREE_TABLES: usize = 64 << 10;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Limiter {
    pub max_bytes: usize,
    pub max_elements: usize,
    pub max_instances: usize,
    pub max_memories: usize,
    pub max_tables: usize,
    pub used: usize,
    /// What the latest refused growth would have brought the account to; 0: none was refused.
    pub refused: usize,
    memory: usize,
    tables: usize,
    granted: [usize; 2], // memory and tables, by the latest answer: taken back when the growth fails after all
}

impl Limiter {
    /// For a component, whose core instances are its own matter: as many as the pool has for one.
    pub fn of_component(max_bytes: usize) -> Limiter {
        Limiter {
            max_bytes,
            max_elements: 100_000,
            max_instances: 64,
            max_memories: 8,
            max_tables: 8,
            used: 0,
            refused: 0,
            memory: 0,
            tables: 0,
            granted: [0; 2],
        }
    }

    pub fn denied(&self) -> bool {
        self.refused != 0
    }

    fn count(&mut self, memory: usize, tables: usize) {
        (self.memory, self.tables) = (memory, tables);
        self.used = memory.saturating_add(tables.saturating_sub(FREE_TABLES));
    }

    /// Growth past what the type allows fails by itself: the account is not to blame.
    fn grow(&mut self, memory: usize, tables: usize, declared: bool, fits: bool) -> bool {
        let was = [self.memory, self.tables];
        self.granted = [0; 2];
        self.count(was[0].saturating_add(memory), was[1].saturating_add(tables));
        let total = self.used;
        if declared && fits && total <= self.max_bytes {
            self.granted = [memory, tables];
            return true;
        }
        self.count(was[0], was[1]);
        self.refused = if declared { total } else { self.refused };
        false
    }

    fn memory(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        self.grow(desired.saturating_sub(current), 0, maximum.is_none_or(|m| desired <= m), true)
    }

    fn table(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        let bytes = desired.saturating_sub(current).saturating_mul(ELEMENT);
        self.grow(0, bytes, maximum.is_none_or(|m| desired <= m), desired <= self.max_elements)
    }

    /// Also when wasmi's fuel ran out: the growth is then asked for again.
    fn failed(&mut self) {
        let [memory, tables] = std::mem::take(&mut self.granted);
        self.count(self.memory - memory, self.tables - tables);
    }
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.memory(current, desired, maximum))
    }
    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.failed();
        Ok(())
    }
    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.table(current, desired, maximum))
    }
    /// Also of a growth that was never asked for (an overflow): nothing is taken back.
    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Ok(())
    }
    fn instances(&self) -> usize {
        self.max_instances
    }
    fn tables(&self) -> usize {
        self.max_tables
    }
    fn memories(&self) -> usize {
        self.max_memories
    }
}

/// wasmi counts what is imported as new, so how many there are is checked when a module is loaded.
impl wasmi::ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool, LimiterError> {
        Ok(self.memory(current, desired, maximum))
    }
    fn memory_grow_failed(&mut self, _: &errors::MemoryError) -> Result<(), LimiterError> {
        self.failed();
        Ok(())
    }
    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool, LimiterError> {
        Ok(self.table(current, desired, maximum))
    }
    fn table_grow_failed(&mut self, _: &errors::TableError) -> Result<(), LimiterError> {
        self.failed();
        Ok(())
    }
    fn instances(&self) -> usize {
        self.max_instances
    }
    fn tables(&self) -> usize {
        usize::MAX
    }
    fn memories(&self) -> usize {
        usize::MAX
    }
}

/// # Safety
/// `limiter` outlives `store`, and nobody else writes to it while the store is used.
#[no_mangle]
pub unsafe extern "C" fn otr_limiter_attach(store: *mut wasmtime_store_t, limiter: *mut Limiter) {
    let at = limiter as usize;
    // A wasmtime_store_t is `#[repr(C)] struct { store: WasmtimeStore }`, whose field is private.
    (*store.cast::<WasmtimeStore>()).limiter(move |_| unsafe { &mut *(at as *mut Limiter) });
}
