//! What a component was granted of the host: variables, and folders by WASI.
//!
//! Wasmtime resolves every path beneath the folder. Its `open-at` is replaced: it would wait for the other end of a
//! FIFO, and its descriptors have no number that they cannot exceed.
use std::ffi::{c_char, CStr};
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use rustix::fs::{fstat, openat2, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::{getrlimit, Resource as Limit};
use wasmtime_c_api::wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_c_api::wasmtime::{format_err, Result};
use wasmtime_wasi::filesystem::{Descriptor, Dir, File};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode as Code;
use wasmtime_wasi::p2::bindings::sync::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasmtime_wasi::{FsPerms, OpenMode, WasiCtxBuilder, WasiView};

#[repr(C)]
pub struct Folder {
    host: *const c_char,
    guest: *const c_char,
    writable: i32,
}

#[repr(C)]
pub struct Grants {
    env: *const *const c_char, // "NAME=value", ends with a null pointer
    folders: *const Folder,
    n_folders: usize,
}

impl Grants {
    pub(crate) fn any_folder(&self) -> bool {
        self.n_folders > 0
    }
}

/// Of one instance, as OTR_LIMIT_WASI_FDS.
const MOST_OPEN: usize = 128;
const RACES: usize = 16;

unsafe fn text<'a>(p: *const c_char, what: &str) -> Result<&'a str> {
    let bytes = CStr::from_ptr(p);
    bytes.to_str().map_err(|_| format_err!("{what} \"{}\" is not UTF-8", bytes.to_string_lossy()))
}

/// # Safety
/// The pointers of `grants` are valid.
pub unsafe fn grant(to: &mut WasiCtxBuilder, grants: &Grants) -> Result<()> {
    to.allow_blocking_current_thread(true); // it is the plugin's own
    let mut at = grants.env;
    while !at.is_null() && !(*at).is_null() {
        let pair = text(*at, "variable")?;
        let (name, value) = pair.split_once('=').ok_or_else(|| format_err!("variable \"{pair}\" is not NAME=value"))?;
        to.env(name, value);
        at = at.add(1);
    }
    for i in 0..grants.n_folders {
        let folder = &*grants.folders.add(i);
        let perms = if folder.writable != 0 { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        to.preopened_dir(text(folder.host, "folder")?, text(folder.guest, "folder")?, perms)?;
    }
    Ok(())
}

/// Replaces `open-at` where WASI is linked already.
pub fn define<T: WasiView + 'static>(linker: &mut Linker<T>) -> Result<()> {
    type Args = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);
    linker.instance("wasi:filesystem/types@0.2.12")?.func_wrap(
        "[method]descriptor.open-at",
        |mut cx: wasmtime_c_api::wasmtime::StoreContextMut<'_, T>, (fd, look, path, how, flags): Args| {
            let table = cx.data_mut().ctx().table;
            let opened = match table.get(&fd)? {
                Descriptor::File(_) => Err(ErrorCode::NotDirectory),
                Descriptor::Dir(dir) => open(dir, look, &path, how, flags),
            };
            Ok((match opened {
                Ok(_) if full(table) => Err(ErrorCode::Quota),
                Ok(made) => Ok(table.push(made)?),
                Err(e) => Err(e),
            },))
        },
    )
}

fn full(table: &mut ResourceTable) -> bool {
    table.iter_mut().filter(|item| item.is::<Descriptor>()).count() >= MOST_OPEN
}

fn code(e: Errno) -> ErrorCode {
    match e {
        Errno::XDEV => ErrorCode::NotPermitted, // the path leads out of the folder
        Errno::MFILE | Errno::NFILE => ErrorCode::Quota,
        e => Code::from(&std::io::Error::from(e)).into(),
    }
}

fn beneath(dir: &Dir, path: &str, flags: OFlags, mode: Mode) -> std::result::Result<OwnedFd, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..RACES {
        match openat2(&*dir.dir, path, flags | OFlags::CLOEXEC, mode, how) {
            Err(Errno::AGAIN) => {} // something was renamed meanwhile
            done => return done,
        }
    }
    Err(Errno::AGAIN)
}

/// What a guest's flags mean to the kernel; an error for what Wasmtime refuses as well.
fn flags_of(dir: &Dir, look: PathFlags, how: OpenFlags, flags: DescriptorFlags) -> std::result::Result<OFlags, ErrorCode> {
    let syncs = DescriptorFlags::FILE_INTEGRITY_SYNC | DescriptorFlags::DATA_INTEGRITY_SYNC | DescriptorFlags::REQUESTED_WRITE_SYNC;
    if flags.intersects(syncs) {
        return Err(ErrorCode::Unsupported);
    }
    if how.contains(OpenFlags::DIRECTORY) && how != OpenFlags::DIRECTORY {
        return Err(ErrorCode::Invalid);
    }
    let writes = flags.contains(DescriptorFlags::WRITE) || how.contains(OpenFlags::TRUNCATE);
    if dir.perms.write_not_permitted() && (writes || how.contains(OpenFlags::CREATE)) {
        return Err(ErrorCode::NotPermitted);
    }
    let reads = flags.contains(DescriptorFlags::READ) || !writes;
    let access = match (reads, writes) {
        (true, true) => OFlags::RDWR,
        (false, _) => OFlags::WRONLY,
        _ => OFlags::RDONLY,
    };
    let mut to = access | OFlags::NONBLOCK | OFlags::NOCTTY;
    let creates = how.contains(OpenFlags::CREATE);
    to.set(OFlags::CREATE, creates);
    to.set(OFlags::EXCL, creates && how.contains(OpenFlags::EXCLUSIVE));
    to.set(OFlags::TRUNC, how.contains(OpenFlags::TRUNCATE));
    to.set(OFlags::DIRECTORY, how.contains(OpenFlags::DIRECTORY));
    to.set(OFlags::NOFOLLOW, !look.contains(PathFlags::SYMLINK_FOLLOW));
    Ok(to)
}

fn kind(fd: &OwnedFd) -> std::result::Result<FileType, ErrorCode> {
    fstat(fd).map(|st| FileType::from_raw_mode(st.st_mode)).map_err(code)
}

/// Regular files and folders only. Looks before it opens, as opening a device can already do something.
fn open(dir: &Dir, look: PathFlags, path: &str, how: OpenFlags, flags: DescriptorFlags) -> std::result::Result<Descriptor, ErrorCode> {
    let flags = flags_of(dir, look, how, flags)?;
    let exclusive = flags.contains(OFlags::EXCL);
    match beneath(dir, path, OFlags::PATH | (flags & OFlags::NOFOLLOW), Mode::empty()) {
        Ok(_) if exclusive => return Err(ErrorCode::Exist),
        Ok(fd) => match kind(&fd)? {
            FileType::RegularFile | FileType::Directory | FileType::Symlink => {}
            _ => return Err(ErrorCode::NotPermitted),
        },
        Err(Errno::NOENT) if flags.contains(OFlags::CREATE) => {}
        Err(e) => return Err(code(e)),
    }
    let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o666) } else { Mode::empty() };
    let fd = beneath(dir, path, flags, mode).map_err(code)?;
    let mut access = OpenMode::empty();
    access.set(OpenMode::READ, !flags.contains(OFlags::WRONLY));
    access.set(OpenMode::WRITE, flags.intersects(OFlags::WRONLY | OFlags::RDWR));
    // The numbers are given out from below: the last quarter stays the agent's own.
    if getrlimit(Limit::Nofile).current.is_some_and(|most| fd.as_raw_fd() as u64 >= most - most / 4) {
        return Err(ErrorCode::Quota);
    }
    match kind(&fd)? {
        FileType::Directory => Ok(Descriptor::Dir(Dir::new(fd.into(), dir.perms, access, true))),
        FileType::RegularFile => Ok(Descriptor::File(File::new(fd.into(), dir.perms, access, true))),
        _ => Err(ErrorCode::NotPermitted),
    }
}
