//! What a protocol calls its status codes. A table is text: a line for each code, with its name behind it, in the order of the codes.

/// The name of a code in a table.
pub(crate) fn name_in(table: &'static str, code: &str) -> Option<&'static str> {
    let mut table = table;
    while !table.is_empty() {
        let middle = table.len() / 2;
        let start = table.get(..middle)?.rfind('\n').map_or(0, |at| at + 1);
        let line = table.get(start..)?.lines().next()?;
        let (at, name) = line.split_once(' ')?;
        match at.cmp(code) {
            std::cmp::Ordering::Equal => return Some(name),
            std::cmp::Ordering::Less => table = table.get(start + line.len() + 1..)?,
            std::cmp::Ordering::Greater => table = table.get(..start)?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::name_in;
    use crate::{http1, mysql, postgresql};

    #[test]
    fn every_code_of_every_table_is_found_and_no_other() {
        for table in [http1::REASONS, mysql::ERRORS, mysql::MARIADB_ERRORS, postgresql::CONDITIONS] {
            for line in table.lines() {
                let (code, name) = line.split_once(' ').unwrap();
                assert_eq!(name_in(table, code), Some(name), "{line}");
                assert_eq!(name_in(table, &code[1..]), None);
            }
            assert!(table.lines().is_sorted() && table.ends_with('\n'));
            for code in ["", "0", "99999", "ZZZZZ", "*"] {
                assert_eq!(name_in(table, code), None);
            }
        }
        assert_eq!(name_in("", "1"), None);
    }
}
