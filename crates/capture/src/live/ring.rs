//! The packet socket and its ring in memory shared with the kernel: all of live capture that is not safe code.
//!
//! A packet socket (`packet(7)`) maps a ring of blocks. The kernel fills a block, then sets its status to "yours"; nobody but
//! this process touches the block until it sets the status back. That hand-over, a load and a store of one atomic word, is
//! what makes the slices given out here sound; what is in them is read by the safe code of [`super::block`].

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libc::{c_int, c_void};

use super::block;
use crate::Instruction;

/// What the kernel says of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: i32,
    pub(super) up: bool,
    pub(super) loopback: bool,
    /// `ARPHRD_` number of its link layer.
    pub(super) hardware: u16,
}

/// How a ring is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    /// Bytes of a block: a power of two, at least a page.
    pub(super) block: u32,
    pub(super) blocks: u32,
    /// A block with frames in it is handed over after about this long (at most twice), full or not.
    pub(super) retire: Duration,
}

/// What a ring is to receive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) link: Link,
    pub(super) promiscuous: bool,
    /// The group that shares the interface's frames out, by flow.
    pub(super) fanout: Option<u16>,
    pub(super) program: Option<&'a [Instruction]>,
}

/// Frames that reached a ring since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Statistics {
    /// Those that the filter took, dropped ones included.
    pub(super) received: u64,
    /// Those for which no block was free.
    pub(super) dropped: u64,
}

/// A packet socket with its ring.
#[derive(Debug)]
pub(super) struct Ring {
    socket: OwnedFd,
    memory: NonNull<u8>,
    geometry: Geometry,
    /// The block that is handed over next.
    next: u32,
    /// Whether the kernel runs the filter.
    pub(super) filtered: bool,
}

#[expect(unsafe_code, reason = "the mapping belongs to this value alone; no thread-local state is involved")]
// SAFETY: the pointer is to memory that only this value unmaps, and every access goes through `&self` or `&mut self`.
unsafe impl Send for Ring {}

impl Ring {
    /// Opens a socket, maps its ring, attaches the filter, and only then lets frames in.
    pub(super) fn open(wish: Wish<'_>, geometry: Geometry) -> io::Result<Self> {
        let socket = packet_socket()?;
        set(&socket, libc::SOL_PACKET, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))?;
        let request = libc::tpacket_req3 {
            tp_block_size: geometry.block,
            tp_block_nr: geometry.blocks,
            // The kernel wants the numbers to fit; version 3 packs frames whatever they say.
            tp_frame_size: geometry.block,
            tp_frame_nr: geometry.blocks,
            tp_retire_blk_tov: geometry.retire.as_millis() as u32,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let memory = map(&socket, geometry)?;
        let mut ring = Self { socket, memory, geometry, next: 0, filtered: false };
        if let Some(group) = wish.fanout {
            // Only a bound socket can join, and until it has joined it would hear what the others hear too.
            attach(&ring.socket, &[Instruction::NOTHING])?;
            ring.listen(wish.link.index, wish.promiscuous)?;
            // Without PACKET_FANOUT_FLAG_DEFRAG: the kernel would show fragments as one frame, or not at all and uncounted
            // where they do not fit, which is what evasion is made of.
            let mode = libc::PACKET_FANOUT_HASH;
            set(&ring.socket, libc::SOL_PACKET, libc::PACKET_FANOUT, &(u32::from(group) | mode << 16))?;
        }
        ring.filtered = wish.program.is_some_and(|program| attach(&ring.socket, program).is_ok());
        if wish.fanout.is_none() {
            ring.listen(wish.link.index, wish.promiscuous)?;
        } else if !ring.filtered {
            attach(&ring.socket, &[Instruction::EVERYTHING])?;
        }
        Ok(ring)
    }

    /// Lets the frames of an interface in, instead of those of the one before; needs no right that the socket does not have.
    /// A ring of a group cannot change over.
    pub(super) fn listen(&self, interface: i32, promiscuous: bool) -> io::Result<()> {
        if promiscuous {
            // SAFETY: a struct of numbers, for which zero is a value.
            #[expect(unsafe_code, reason = "zeroed C struct")]
            let mut membership: libc::packet_mreq = unsafe { zeroed() };
            membership.mr_ifindex = interface;
            membership.mr_type = libc::PACKET_MR_PROMISC as u16;
            set(&self.socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
        }
        bind(&self.socket, interface)
    }

    /// What the kernel says now of the interface with this name.
    pub(super) fn look_up(&self, name: &str) -> io::Result<Link> {
        look_up(&self.socket, name)
    }

    /// The oldest block that the kernel has handed over.
    pub(super) fn block(&self) -> Option<&[u8]> {
        let ours = self.status(self.next).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0;
        // SAFETY: the block lies inside the mapping. Its status says that it is ours, and the load that saw it synchronises
        // with the kernel's writes before; the kernel does not touch it until `release`, which needs `&mut self` and so
        // outlives the slice. The status word itself is not written by anybody either while the block is ours.
        #[expect(unsafe_code, reason = "memory shared with the kernel")]
        ours.then(|| unsafe {
            std::slice::from_raw_parts(self.start(self.next).as_ptr(), self.geometry.block as usize)
        })
    }

    /// Whether half of the ring waits to be read.
    pub(super) fn is_half_full(&self) -> bool {
        let halfway = (self.next + self.geometry.blocks / 2) % self.geometry.blocks;
        self.status(halfway).load(Ordering::Relaxed) & libc::TP_STATUS_USER != 0
    }

    /// Gives the oldest block back.
    pub(super) fn release(&mut self) {
        self.status(self.next).store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.geometry.blocks;
    }

    /// What happened since this was called last: the kernel starts anew with every answer.
    pub(super) fn statistics(&self) -> io::Result<Statistics> {
        // SAFETY: a struct of numbers, for which zero is a value.
        #[expect(unsafe_code, reason = "zeroed C struct")]
        let mut found: libc::tpacket_stats_v3 = unsafe { zeroed() };
        get(&self.socket, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut found)?;
        Ok(Statistics { received: found.tp_packets.into(), dropped: found.tp_drops.into() })
    }

    /// The error that the kernel notes for the socket, such as the interface going down; it is forgotten by asking.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        let mut code: c_int = 0;
        match get(&self.socket, libc::SOL_SOCKET, libc::SO_ERROR, &mut code) {
            Ok(()) if code == 0 => None,
            Ok(()) => Some(io::Error::from_raw_os_error(code)),
            Err(error) => Some(error),
        }
    }

    /// Waits until one of the rings has a block or an error, at most `timeout`; a signal ends the wait. Returns whether there
    /// is an error to be taken.
    pub(super) fn wait<'a>(rings: impl Iterator<Item = &'a Self>, timeout: Duration) -> bool {
        let event = |ring: &Self| libc::pollfd { fd: ring.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut events: Vec<libc::pollfd> = rings.map(event).collect();
        let millis = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: pointer and count are those of a vector that lives through the call.
        #[expect(unsafe_code, reason = "system call")]
        let woken = unsafe { libc::poll(events.as_mut_ptr(), events.len() as libc::nfds_t, millis) };
        // What a failure could mean is found out by looking at the rings, as after a success.
        woken > 0 && events.iter().any(|event| event.revents & !libc::POLLIN != 0)
    }

    /// Where a block begins; there must be one of that number.
    fn start(&self, block: u32) -> NonNull<u8> {
        assert!(block < self.geometry.blocks);
        let offset = block as usize * self.geometry.block as usize;
        // SAFETY: there is a block of that number, so the place is inside the mapping.
        #[expect(unsafe_code, reason = "arithmetic inside the mapping")]
        unsafe {
            self.memory.add(offset)
        }
    }

    fn status(&self, block: u32) -> &AtomicU32 {
        // SAFETY: the word is inside the block, aligned (blocks are pages, the offset is 8), and both sides use it as an
        // atomic while it can change.
        #[expect(unsafe_code, reason = "memory shared with the kernel")]
        unsafe {
            AtomicU32::from_ptr(self.start(block).add(block::STATUS).as_ptr().cast())
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, not unmapped before, and no slice of it outlives `self`.
        #[expect(unsafe_code, reason = "system call")]
        unsafe {
            libc::munmap(self.memory.as_ptr().cast(), length(self.geometry));
        }
    }
}

/// Looks an interface up by name. Needs the same right as capturing.
pub(super) fn link(name: &str) -> io::Result<Link> {
    look_up(&packet_socket()?, name)
}

/// Any socket can be asked.
fn look_up(socket: &OwnedFd, name: &str) -> io::Result<Link> {
    let flags = request(socket, name, libc::SIOCGIFFLAGS)?;
    let index = request(socket, name, libc::SIOCGIFINDEX)?;
    let hardware = request(socket, name, libc::SIOCGIFHWADDR)?;
    // SAFETY: each call has filled in the member of the union that it is about; all are plain numbers.
    #[expect(unsafe_code, reason = "C union")]
    let (flags, index, hardware) = unsafe {
        let address = hardware.ifr_ifru.ifru_hwaddr;
        (c_int::from(flags.ifr_ifru.ifru_flags), index.ifr_ifru.ifru_ifindex, address.sa_family)
    };
    Ok(Link { index, up: flags & libc::IFF_UP != 0, loopback: flags & libc::IFF_LOOPBACK != 0, hardware })
}

pub(super) fn request(socket: &OwnedFd, name: &str, what: libc::c_ulong) -> io::Result<libc::ifreq> {
    // SAFETY: a struct of numbers, for which zero is a value.
    #[expect(unsafe_code, reason = "zeroed C struct")]
    let mut request: libc::ifreq = unsafe { zeroed() };
    name_into(name, &mut request)?;
    // SAFETY: these requests read the name from, and write their answer into, one `ifreq`.
    #[expect(unsafe_code, reason = "system call")]
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), what as _, &raw mut request) } < 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(request) }
}

/// Says which interface a request is about.
pub(super) fn name_into(name: &str, request: &mut libc::ifreq) -> io::Result<()> {
    let bytes = name.as_bytes();
    // One stays for the zero at the end.
    if bytes.contains(&0) || bytes.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (into, byte) in request.ifr_name.iter_mut().zip(bytes) {
        *into = byte.cast_signed() as libc::c_char;
    }
    Ok(())
}

/// A packet socket that receives nothing yet.
fn packet_socket() -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    #[expect(unsafe_code, reason = "system call")]
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    #[expect(unsafe_code, reason = "takes the descriptor over")]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn length(geometry: Geometry) -> usize {
    geometry.block as usize * geometry.blocks as usize
}

fn map(socket: &OwnedFd, geometry: Geometry) -> io::Result<NonNull<u8>> {
    let (protection, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping at a place that the kernel chooses.
    #[expect(unsafe_code, reason = "system call")]
    let memory = unsafe { libc::mmap(ptr::null_mut(), length(geometry), protection, shared, socket.as_raw_fd(), 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(memory.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

fn bind(socket: &OwnedFd, index: i32) -> io::Result<()> {
    // SAFETY: a struct of numbers, for which zero is a value.
    #[expect(unsafe_code, reason = "zeroed C struct")]
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is of the family of the socket, and the size is its size.
    #[expect(unsafe_code, reason = "system call")]
    let failed = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) } < 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn attach(socket: &OwnedFd, program: &[Instruction]) -> io::Result<()> {
    let filter = |instruction: &Instruction| libc::sock_filter {
        code: instruction.code,
        jt: instruction.jump_true,
        jf: instruction.jump_false,
        k: instruction.operand,
    };
    let mut instructions: Vec<libc::sock_filter> = program.iter().map(filter).collect();
    let len = u16::try_from(instructions.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // The kernel copies the instructions during the call, and checks them.
    let program = libc::sock_fprog { len, filter: instructions.as_mut_ptr() };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// `T` must be the type that the option takes; all of its bytes are given.
fn set<T>(socket: &OwnedFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    let size = size_of::<T>() as libc::socklen_t;
    let value: *const c_void = ptr::from_ref(value).cast();
    // SAFETY: the kernel reads at most `size` bytes from a value that lives through the call.
    #[expect(unsafe_code, reason = "system call")]
    let failed = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, size) } < 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `T` must be a type of plain numbers, as the option gives.
fn get<T: Copy>(socket: &OwnedFd, level: c_int, option: c_int, value: &mut T) -> io::Result<()> {
    let mut size = size_of::<T>() as libc::socklen_t;
    let value: *mut c_void = ptr::from_mut(value).cast();
    // SAFETY: the kernel writes at most `size` bytes into a value that lives through the call.
    #[expect(unsafe_code, reason = "system call")]
    let failed = unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, value, &raw mut size) } < 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}
