//! That NCCL's functions are called as `nccl.h` declares them: by a library of a few lines of C that answers only when they are.

use super::*;
use std::process::Command;

/// Each function refuses arguments in another order, of another size or of another value than here.
const LIBRARY: &str = r#"
#include <stdlib.h>
#include <string.h>
typedef struct { char internal[128]; } Id;
typedef struct { int size, rank, gathered; } Comm;
int ncclGetVersion(int *version) { *version = 22703; return 0; }
int ncclGetUniqueId(Id *id) { for (int i = 0; i < 128; i++) id->internal[i] = i - 64; return 0; }
int ncclCommInitRank(Comm **comm, int size, Id id, int rank) {
    for (int i = 0; i < 128; i++) if (id.internal[i] != i - 64) return 4;
    if (size != 3 || rank >= size) return 4;
    *comm = calloc(1, sizeof **comm);
    (*comm)->size = size;
    (*comm)->rank = rank;
    return 0;
}
int ncclAllGather(const void *from, void *to, size_t count, int type, Comm *comm, void *stream) {
    if (type != 1 || stream != (void *)0x5747) return 5;
    for (int rank = 0; rank < comm->size; rank++) memcpy((char *)to + rank * count, from, count);
    ((char *)to)[comm->rank * count] = 'r';
    comm->gathered++;
    return 0;
}
int ncclCommGetAsyncError(Comm *comm, int *error) { *error = comm->gathered == 0 ? 7 : comm->gathered == 1 ? 0 : 6; return 0; }
int ncclCommDestroy(Comm *comm) { int gathered = comm->gathered; free(comm); return gathered == 1 ? 0 : 5; }
int ncclCommAbort(Comm *comm) { free(comm); return 0; }
const char *ncclGetErrorString(int status) { return status == 4 ? "invalid argument" : status == 6 ? "remote process exited" : "invalid usage"; }
const char *ncclGetLastError(Comm *comm) { return comm ? "?" : "more words"; }
"#;

/// The library in this folder; none where there is no C compiler.
fn made(folder: &Path) -> Option<Nccl> {
    let (source, library) = (folder.join("nccl.c"), folder.join("libnccl.so.2"));
    std::fs::write(&source, LIBRARY).expect("a file");
    let output = match Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: there is no C compiler ({error}); it comes with `apt install gcc`");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(Nccl::load(&library).expect("it has all functions"))
}

#[test]
fn functions_are_called_as_the_header_declares_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(nccl) = made(folder.path()) else { return };
    assert_eq!((nccl.version(), nccl.path().ends_with("libnccl.so.2")), ("2.27.3", true));
    assert!(nccl.serves(Kind::Cuda) && !nccl.serves(Kind::Emulator));
    let id = nccl.unique_id().expect("it makes one");
    assert_eq!(UniqueId::from_bytes(id.bytes()), Some(id));
    assert_eq!(UniqueId::from_bytes(&id.bytes()[1..]), None);

    assert_eq!(nccl.join(&id, 3, 3).expect_err("there is no such rank"), "invalid argument (more words)");
    let communicator = nccl.join(&id, 1, 3).expect("it is one of them");
    assert_eq!(nccl.failure(communicator), None, "what is in progress has not failed");
    let (from, mut to) = (*b"abcdefg", [0; 21]);
    let mut gather = |stream| {
        // SAFETY: the ranges are the two arrays, and all is done at once.
        unsafe { nccl.all_gather(from.as_ptr() as Address, to.as_mut_ptr() as Address, 7, communicator, stream) }
    };
    assert_eq!(gather(1).expect_err("another stream"), "invalid usage (more words)");
    gather(0x5747).expect("as it is meant");
    assert_eq!(nccl.failure(communicator), None);
    assert!(nccl.is_complete(communicator));
    nccl.destroy(communicator).expect("it is done");
    assert_eq!(&to, b"abcdefgrbcdefgabcdefg");

    let communicator = nccl.join(&id, 2, 3).expect("it is one of them");
    for _ in 0..2 {
        // SAFETY: as above.
        unsafe { nccl.all_gather(from.as_ptr() as Address, to.as_mut_ptr() as Address, 7, communicator, 0x5747) }
            .expect("as it is meant");
    }
    assert_eq!(nccl.failure(communicator).as_deref(), Some("remote process exited (more words)"));
    nccl.abort(communicator);
}

#[test]
fn what_is_no_nccl_is_refused() {
    let error = Nccl::load(Path::new("/no/such/libnccl.so.2")).err().expect("not there");
    assert!(error.contains("/no/such/libnccl.so.2"), "{error}");
    #[cfg(target_os = "linux")]
    {
        let error = Nccl::load(Path::new("libc.so.6")).err().expect("another library");
        assert!(error.contains("no function ncclGetVersion"), "{error}");
    }
}

#[test]
fn versions_are_unpacked_as_the_header_packs_them() {
    assert_eq!([2708, 22_703, 23_203].map(version_of), ["2.7.8", "2.27.3", "2.32.3"]);
}

/// NVIDIA's own library, where it is: it makes an id without a GPU.
#[test]
fn the_real_library_has_what_is_declared_of_it() {
    match super::super::find_nccl() {
        Ok(nccl) => {
            println!("NCCL {} at {}", nccl.version(), nccl.path());
            assert!(nccl.version().starts_with("2."), "{}", nccl.version());
            let made = [(); 2].map(|()| nccl.unique_id().expect("it makes one"));
            assert!(made[0] != made[1], "two communicators have one id");
        }
        Err(error) => println!("skipped: {error}"),
    }
}
