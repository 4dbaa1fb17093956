//! The system calls that remain.

use std::collections::BTreeMap;

use anyhow::Result;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::Fence;

/// Memory, threads, time, signals, and files that landlock lets through.
const CALLS: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_munmap,
    // Threads. `clone3` is refused by a filter of its own: what it asks for cannot be looked at.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    // Time and signals.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    // Files.
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_write,
    libc::SYS_writev,
    // Waiting, and what a socket that is open is asked.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_getsockopt,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    // A ring that turns to an interface that came back.
    libc::SYS_bind,
    libc::SYS_setsockopt,
    // What libraries ask of the machine.
    libc::SYS_geteuid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_getuid,
    libc::SYS_prlimit64,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// The older names of some of them, which newer machines do not have.
#[cfg(target_arch = "x86_64")]
const OLDER_CALLS: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_epoll_wait,
    libc::SYS_getdents,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_CALLS: &[c_long] = &[];

/// Connections to receivers, and from those who ask for metrics.
const NETWORK: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
];

/// Address families of receivers; netlink is how names are resolved.
const FAMILIES: [i32; 4] = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_NETLINK];

/// What terminals and sockets are asked: whether it is a terminal, its width, what waits, not to wait, and what an interface is.
const REQUESTS: [u64; 7] = [
    libc::FIONREAD as _,
    libc::TCGETS as _,
    libc::TIOCGWINSZ as _,
    libc::FIONBIO as _,
    libc::SIOCGIFFLAGS as _,
    libc::SIOCGIFINDEX as _,
    libc::SIOCGIFHWADDR as _,
];

/// Names for threads and for memory; nothing else of `prctl`.
const OPTIONS: [u64; 2] = [libc::PR_SET_NAME as u64, 0x5356_4d41 /* PR_SET_VMA */];

/// Lets nothing but these through, from now on, in this thread and those it starts.
pub(super) fn restrict(network: bool, capture: bool) -> Result<Fence> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => TargetArch::x86_64,
        "aarch64" => TargetArch::aarch64,
        "riscv64" => TargetArch::riscv64,
        other => return Ok(Fence::None(format!("filters are not written for {other}"))),
    };
    let calls = CALLS.iter().chain(OLDER_CALLS).chain(if network { NETWORK } else { &[] });
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = calls.map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_ioctl, one_of(1, &REQUESTS)?);
    rules.insert(libc::SYS_prctl, one_of(0, &OPTIONS)?);
    // A thread of this process, never another process.
    rules.insert(libc::SYS_clone, vec![when(0, SeccompCmpOp::MaskedEq(THREAD), THREAD)?]);
    let families = if network { &FAMILIES[..] } else { &[] };
    let families: Vec<u64> =
        families.iter().chain(capture.then_some(&libc::AF_PACKET)).map(|family| *family as u64).collect();
    if !families.is_empty() {
        rules.insert(libc::SYS_socket, one_of(0, &families)?);
    }
    let refused = |error: i32| SeccompAction::Errno(error as u32);
    let allowed = SeccompFilter::new(rules, refused(libc::EPERM), SeccompAction::Allow, architecture)?;
    // The C library takes "no such call" as a request to use `clone`, whose flags can be looked at.
    let newer = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let newer = SeccompFilter::new(newer, SeccompAction::Allow, refused(libc::ENOSYS), architecture)?;
    for filter in [newer, allowed] {
        seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?;
    }
    Ok(Fence::Full)
}

const THREAD: u64 = libc::CLONE_THREAD as u64;

fn one_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>> {
    values.iter().map(|value| when(argument, SeccompCmpOp::Eq, *value)).collect()
}

fn when(argument: u8, operation: SeccompCmpOp, value: u64) -> Result<SeccompRule> {
    // The kernel takes requests, options and families as 32 bits, whatever stands above.
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}
