//! Numbers and their names (IANA, "Domain Name System (DNS) Parameters").

/// Resource record types, without obsolete and experimental ones, which have `TYPE` and their number (RFC 3597).
const TYPES: [(u16, &str); 46] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (24, "SIG"),
    (25, "KEY"),
    (28, "AAAA"),
    (29, "LOC"),
    (32, "NIMLOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (249, "TKEY"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
    (257, "CAA"),
];

pub(super) const A: u16 = 1;
pub(super) const CNAME: u16 = 5;
pub(super) const SOA: u16 = 6;
pub(super) const AAAA: u16 = 28;
pub(super) const OPT: u16 = 41;
pub(super) const IXFR: u16 = 251;
pub(super) const AXFR: u16 = 252;

/// The type's name, if it has one.
pub(super) fn kind(number: u16) -> Option<&'static str> {
    let at = TYPES.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    TYPES.get(at).map(|(_, name)| *name)
}

/// Operation codes in use.
pub(super) const QUERY: u8 = 0;
/// DNS stateful operations (RFC 8490).
pub(super) const STATEFUL: u8 = 6;

pub(super) fn opcode(number: u8) -> Option<&'static str> {
    match number {
        0 => Some("QUERY"),
        1 => Some("IQUERY"),
        2 => Some("STATUS"),
        4 => Some("NOTIFY"),
        5 => Some("UPDATE"),
        6 => Some("DSO"),
        _ => None,
    }
}

/// Response codes, by number. 16 is BADVERS where it is an extended code, and BADSIG only inside of TSIG.
pub(super) const RCODES: [&str; 24] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "DSOTYPENI",
    "RCODE12",
    "RCODE13",
    "RCODE14",
    "RCODE15",
    "BADVERS",
    "BADKEY",
    "BADTIME",
    "BADMODE",
    "BADNAME",
    "BADALG",
    "BADTRUNC",
    "BADCOOKIE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_by_number() {
        assert!(TYPES.is_sorted_by_key(|(number, _)| *number));
        assert_eq!((kind(A), kind(AAAA), kind(65), kind(65_280)), (Some("A"), Some("AAAA"), Some("HTTPS"), None));
    }
}
