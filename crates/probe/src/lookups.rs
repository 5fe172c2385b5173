//! Names of hosts and users, in a binary without shared libraries.
//!
//! glibc asks whom `/etc/nsswitch.conf` names, and most of those are libraries, which it loads into the process. Into a static one it loads
//! a second glibc with them, of whatever version the host has, and that may crash it. Files and DNS are part of glibc itself (since 2.34).

/// From here on names are looked up in files and by DNS only, where the binary is a static one; otherwise nothing changes. To be called
/// before any other thread is there.
pub fn built_in_only() {
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    for (database, services) in [(c"hosts", c"files dns"), (c"passwd", c"files"), (c"group", c"files")] {
        // SAFETY: two strings that are there for good; glibc copies what it wants of them. What it says is that there is such a database.
        unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
    }
}

#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
unsafe extern "C" {
    /// Of `nss.h`, which the crate libc leaves out.
    fn __nss_configure_lookup(database: *const libc::c_char, services: *const libc::c_char) -> libc::c_int;
}
