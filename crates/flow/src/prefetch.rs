//! Asking the memory for what will be needed soon.
//!
//! The flow table is larger than the processor's caches, so a packet's flow is fetched while the packets before it are looked
//! at. A prefetch is a hint: it reads nothing and cannot fault, whatever the address; elsewhere than on x86-64 it does
//! nothing.

/// Asks for all cache lines of `value`.
#[inline(always)]
pub(crate) fn whole<T>(value: &T) {
    const LINE: usize = 64;
    let start = std::ptr::from_ref(value).cast::<i8>();
    for offset in (0..size_of::<T>()).step_by(LINE) {
        line(start.wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "the intrinsic is unsafe because it takes a pointer; DESIGN section 1 rule 5")]
fn line(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch never faults and changes nothing but the cache, whatever the pointer.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn line(_address: *const i8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_changes_nothing() {
        let value = [7_u8; 200];
        whole(&value);
        line(std::ptr::null());
        assert_eq!(value, [7; 200]);
    }
}
