//! The cases of OpenTelemetry's conventions, `docs/non-normative/database-test-cases/db-sql-test-cases.json`: the 24 of its
//! first edition and those added since. Each is a query, the text without its literals (the first of the alternatives that
//! masks all of them), and the summary.

use super::{BOTH, digest, summary};
use crate::sql::sanitized;

const LONG: &str = "Vecnzotjejucwitzgrfifscuevittljlnrlpbruvkezeptqciyvbjhsytmbucbhwttidayecnthaztxbyppbyztcqccedeirgkxzrfezjxfwbtuqxeusroqgbvulgmsvnelovkxqsaqmlogomkhtjuirzhaocxlrmerihnmwaelullionarkmxwdamhduwrbooknqsnilurutgyerxphokeqnnoumbpcfjtmqrbpukjllofiwaltyoawkp";

type Case = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const FIRST: [Case; 24] = [
    ("SELECT 12, -12, +12", "SELECT ?, ?, ?", "SELECT"),
    ("SELECT 12.34, -12.34, +12.34, .01, -.01", "SELECT ?, ?, ?, ?, ?", "SELECT"),
    ("SELECT 12.34e56, -12.34e56, +12.34e56", "SELECT ?, ?, ?", "SELECT"),
    ("SELECT 12.34e-56, -12.34e-56, +12.34e-56", "SELECT ?, ?, ?", "SELECT"),
    ("SELECT 99+100", "SELECT ??", "SELECT"),
    ("SELECT 0xDEADBEEF, 0XdeadBEEF", "SELECT ?, ?", "SELECT"),
    ("SELECT 'hello'", "SELECT ?", "SELECT"),
    ("SELECT 'My name''s not important'", "SELECT ?", "SELECT"),
    ("SELECT 'My name is \n not important'", "SELECT ?", "SELECT"),
    ("SELECT c3po, r2d2 FROM covid19 WHERE n1h1=1234", "SELECT c3po, r2d2 FROM covid19 WHERE n1h1=?", "SELECT covid19"),
    ("SELECT a FROM dbo.Table JOIN dbo.AnotherTable", "SELECT a FROM dbo.Table JOIN dbo.AnotherTable",
     "SELECT dbo.Table dbo.AnotherTable"),
    ("INSERT INTO X VALUES(1, 23456, 123.456, 99+100)", "INSERT INTO X VALUES(?, ?, ?, ??)", "INSERT X"),
    ("SELECT { guid '01234567-89ab-cdef-0123-456789abcdef' }", "SELECT { guid ? }", "SELECT"),
    ("SELECT * FROM table WHERE value IN (123, 456, 'abc')", "SELECT * FROM table WHERE value IN (?)", "SELECT table"),
    ("SELECT column -- end of line comment\nFROM /* block \n comment */ table", "SELECT column \nFROM  table", "SELECT table"),
    ("INSERT INTO shipping_details\n(order_id,\naddress)\nSELECT order_id,\naddress\nFROM   orders\nWHERE  order_id = 1",
     "INSERT INTO shipping_details\n(order_id,\naddress)\nSELECT order_id,\naddress\nFROM   orders\nWHERE  order_id = ?",
     "INSERT shipping_details SELECT orders"),
    ("SELECT order_date\nFROM   (SELECT *\nFROM   orders o\nJOIN customers c\nON o.customer_id = c.customer_id)",
     "SELECT order_date\nFROM   (SELECT *\nFROM   orders o\nJOIN customers c\nON o.customer_id = c.customer_id)",
     "SELECT SELECT orders customers"),
    ("SELEcT order_date\nFROM   (sELECT *\nFROM   orders o\nJOIN customers c\nON o.customer_id = c.customer_id)",
     "SELEcT order_date\nFROM   (sELECT *\nFROM   orders o\nJOIN customers c\nON o.customer_id = c.customer_id)",
     "SELEcT sELECT orders customers"),
    ("SELEcT order_date\nFROM ORders", "SELEcT order_date\nFROM ORders", "SELEcT ORders"),
    ("SELECT * FROM Orders o CROSS JOIN OrderDetails od", "SELECT * FROM Orders o CROSS JOIN OrderDetails od",
     "SELECT Orders OrderDetails"),
    ("SELECT * FROM Orders o, OrderDetails od", "SELECT * FROM Orders o, OrderDetails od", "SELECT Orders OrderDetails"),
    ("CREATE  TABLE MyTable (\n    ID NOT NULL IDENTITY(1,1) PRIMARY KEY\n)",
     "CREATE  TABLE MyTable (\n    ID NOT NULL IDENTITY(?,?) PRIMARY KEY\n)", "CREATE TABLE MyTable"),
    ("ALTER  TABLE MyTable ADD Name varchar(255)", "ALTER  TABLE MyTable ADD Name varchar(?)", "ALTER TABLE MyTable"),
    ("DROP  TABLE MyTable", "DROP  TABLE MyTable", "DROP TABLE MyTable"),
];

/// `""` for the text: as it was sent.
#[rustfmt::skip]
const SINCE: &[Case] = &[
    ("SELECT * FROM SelectedData", "", "SELECT SelectedData"),
    ("CREATE UNIQUE CLUSTERED INDEX IX_Employee_Email ON Employees (Email);", "", "CREATE INDEX IX_Employee_Email"),
    ("CREATE UNIQUE INDEX IX_Employee_Email ON Employees (Email);", "", "CREATE INDEX IX_Employee_Email"),
    ("SELECT DISTINCT Country FROM Countries", "", "SELECT Countries"),
    ("SELECT DISTINCT o.Id FROM Orders o JOIN Customers c ON o.CustomerId = c.Id", "", "SELECT Orders Customers"),
    ("CREATE TABLE IF NOT EXISTS Users (Id INT PRIMARY KEY, Name NVARCHAR(100));",
     "CREATE TABLE IF NOT EXISTS Users (Id INT PRIMARY KEY, Name NVARCHAR(?));", "CREATE TABLE Users"),
    ("CREATE VIEW ActiveUsers AS SELECT * FROM Users WHERE IsActive = 1;",
     "CREATE VIEW ActiveUsers AS SELECT * FROM Users WHERE IsActive = ?;", "CREATE VIEW ActiveUsers"),
    ("ALTER TABLE Orders ADD COLUMN OrderStatus NVARCHAR(50);", "ALTER TABLE Orders ADD COLUMN OrderStatus NVARCHAR(?);",
     "ALTER TABLE Orders"),
    ("ALTER TABLE Orders RENAME COLUMN OldName TO NewName;", "", "ALTER TABLE Orders"),
    ("CREATE PROCEDURE GetUserById @UserId INT AS SELECT * FROM Users WHERE Id = @UserId;", "", "CREATE PROCEDURE GetUserById"),
    ("ALTER VIEW ActiveUsers AS SELECT * FROM Users WHERE IsActive = 1;",
     "ALTER VIEW ActiveUsers AS SELECT * FROM Users WHERE IsActive = ?;", "ALTER VIEW ActiveUsers"),
    ("CREATE TRIGGER trg_UpdateTimestamp ON Orders AFTER UPDATE AS BEGIN UPDATE Orders SET UpdatedAt = GETDATE() WHERE Id IN (SELECT Id FROM inserted); END;",
     "", "CREATE TRIGGER trg_UpdateTimestamp"),
    ("ALTER PROCEDURE UpdateUserEmail @UserId INT, @Email NVARCHAR(100) AS UPDATE Users SET Email = @Email WHERE Id = @UserId;",
     "ALTER PROCEDURE UpdateUserEmail @UserId INT, @Email NVARCHAR(?) AS UPDATE Users SET Email = @Email WHERE Id = @UserId;",
     "ALTER PROCEDURE UpdateUserEmail"),
    ("CREATE INDEX IX_Orders_CustomerId ON Orders (CustomerId) INCLUDE (OrderDate, TotalAmount);", "",
     "CREATE INDEX IX_Orders_CustomerId"),
    ("ALTER TABLE Orders DROP COLUMN TempColumn;", "", "ALTER TABLE Orders"),
    ("DROP TRIGGER IF EXISTS trg_AfterInsert;", "", "DROP TRIGGER trg_AfterInsert"),
    ("ALTER TRIGGER trg_AfterInsert ON Employees AFTER INSERT AS BEGIN INSERT INTO AuditLog (EmployeeId, Action) SELECT Id, 'INSERT' FROM inserted; END;",
     "ALTER TRIGGER trg_AfterInsert ON Employees AFTER INSERT AS BEGIN INSERT INTO AuditLog (EmployeeId, Action) SELECT Id, ? FROM inserted; END;",
     "ALTER TRIGGER trg_AfterInsert"),
    ("CREATE PROCEDURE AddEmployee @Name NVARCHAR(100), @Email NVARCHAR(100) AS INSERT INTO Employees (Name, Email) VALUES (@Name, @Email);",
     "CREATE PROCEDURE AddEmployee @Name NVARCHAR(?), @Email NVARCHAR(?) AS INSERT INTO Employees (Name, Email) VALUES (@Name, @Email);",
     "CREATE PROCEDURE AddEmployee"),
    ("DROP PROCEDURE IF EXISTS RemoveEmployee;", "", "DROP PROCEDURE RemoveEmployee"),
    ("SELECT o.Id, c.Name, SUM(oi.Quantity) FROM Orders o JOIN Customers c ON o.CustomerId = c.Id JOIN OrderItems oi ON o.Id = oi.OrderId GROUP BY o.Id, c.Name;",
     "", "SELECT Orders Customers OrderItems"),
    ("SELECT DISTINCT Department, COUNT(*) OVER (PARTITION BY Department) AS DeptCount FROM Employees;", "", "SELECT Employees"),
    ("SELECT Id, Name FROM Customers UNION SELECT Id, Name FROM Suppliers ORDER BY Name;", "", "SELECT Customers Suppliers"),
    ("CREATE DATABASE TestDb;", "", "CREATE DATABASE TestDb"),
    ("ALTER DATABASE TestDb MODIFY NAME = NewTestDb;", "", "ALTER DATABASE TestDb"),
    ("DROP DATABASE IF EXISTS TestDb;", "", "DROP DATABASE TestDb"),
    ("CREATE SCHEMA Reporting;", "", "CREATE SCHEMA Reporting"),
    ("ALTER SCHEMA Reporting TRANSFER dbo.OldTable;", "", "ALTER SCHEMA Reporting"),
    ("DROP SCHEMA IF EXISTS Reporting;", "", "DROP SCHEMA Reporting"),
    ("CREATE SEQUENCE SalesSeq START WITH 1 INCREMENT BY 1;", "CREATE SEQUENCE SalesSeq START WITH ? INCREMENT BY ?;",
     "CREATE SEQUENCE SalesSeq"),
    ("ALTER SEQUENCE SalesSeq RESTART WITH 100;", "ALTER SEQUENCE SalesSeq RESTART WITH ?;", "ALTER SEQUENCE SalesSeq"),
    ("DROP SEQUENCE SalesSeq;", "", "DROP SEQUENCE SalesSeq"),
    ("CREATE FUNCTION dbo.GetTotal(@a INT, @b INT) RETURNS INT AS BEGIN RETURN @a + @b; END;", "", "CREATE FUNCTION dbo.GetTotal"),
    ("ALTER FUNCTION dbo.GetTotal(@a INT, @b INT) RETURNS INT AS BEGIN RETURN @a * @b; END;", "", "ALTER FUNCTION dbo.GetTotal"),
    ("DROP FUNCTION dbo.GetTotal;", "", "DROP FUNCTION dbo.GetTotal"),
    ("CREATE USER johndoe WITH PASSWORD = 'password';", "CREATE USER johndoe WITH PASSWORD = ?;", "CREATE USER johndoe"),
    ("ALTER USER johndoe WITH PASSWORD = 'newpassword';", "ALTER USER johndoe WITH PASSWORD = ?;", "ALTER USER johndoe"),
    ("DROP USER IF EXISTS johndoe;", "", "DROP USER johndoe"),
    ("CREATE ROLE app_admin;", "", "CREATE ROLE app_admin"),
    ("ALTER ROLE app_admin ADD MEMBER johndoe;", "", "ALTER ROLE app_admin"),
    ("DROP ROLE IF EXISTS app_admin;", "", "DROP ROLE app_admin"),
    ("ALTER INDEX IX_Employee_Email ON Employees REBUILD;", "", "ALTER INDEX IX_Employee_Email"),
    ("EXEC sp_rename 'OldTable', 'NewTable';", "EXEC sp_rename ?, ?;", "EXEC sp_rename"),
    ("EXEC GetAllEmployees;", "", "EXEC GetAllEmployees"),
    ("EXEC GetEmployeeById @EmployeeId = 42;", "EXEC GetEmployeeById @EmployeeId = ?;", "EXEC GetEmployeeById"),
    ("INSERT INTO T (A) VALUES (123)", "INSERT INTO T (A) VALUES (?)", "INSERT T"),
    ("SELECT (123) AS C;", "SELECT (?) AS C;", "SELECT"),
    ("CREATE TABLE T (A INT DEFAULT (123));", "CREATE TABLE T (A INT DEFAULT (?));", "CREATE TABLE T"),
    ("SELECT ((123)) AS C;", "SELECT ((?)) AS C;", "SELECT"),
    ("SELECT ABS((123));", "SELECT ABS((?));", "SELECT"),
    ("SELECT * FROM T WHERE Amount BETWEEN (10) AND (20);", "SELECT * FROM T WHERE Amount BETWEEN (?) AND (?);", "SELECT T"),
    ("SELECT * FROM T WHERE Id = COALESCE((123), 0);", "SELECT * FROM T WHERE Id = COALESCE((?), ?);", "SELECT T"),
    ("SELECT CAST((123) AS INT);", "SELECT CAST((?) AS INT);", "SELECT"),
    ("CREATE TABLE Table (Name VARCHAR(255), Code CHAR(10));", "CREATE TABLE Table (Name VARCHAR(?), Code CHAR(?));",
     "CREATE TABLE Table"),
    ("CREATE TABLE Table (Payload VARBINARY(16), EventTime DATETIME2(7), Duration TIME(7));",
     "CREATE TABLE Table (Payload VARBINARY(?), EventTime DATETIME2(?), Duration TIME(?));", "CREATE TABLE Table"),
    ("SELECT TOP (10) * FROM Employees", "SELECT TOP (?) * FROM Employees", "SELECT Employees"),
    ("SELECT TOP 10 * FROM Employees", "SELECT TOP ? * FROM Employees", "SELECT Employees"),
    ("SELECT * FROM table WHERE value IN (-123, .456, 'abc', 0.12, 1e10)", "SELECT * FROM table WHERE value IN (?)",
     "SELECT table"),
    ("SELECT * FROM table WHERE value IN (0xAB, .456, 'abc', 0.12, 1e10)", "SELECT * FROM table WHERE value IN (?)",
     "SELECT table"),
    ("SELECT * FROM table WHERE value IN ('abc', 0xAB, .456, 0.12, 1e10)", "SELECT * FROM table WHERE value IN (?)",
     "SELECT table"),
    ("SELECT * FROM table WHERE value IN ('abc', 0xAB, .456,", "SELECT * FROM table WHERE value IN (?, ?, ?,", "SELECT table"),
    ("ALTER  TABLE MyTable ADD Name varchar(255) 'mypassword' 1234", "ALTER  TABLE MyTable ADD Name varchar(?) ? ?",
     "ALTER TABLE MyTable"),
    ("ALTER  TABLE MyTable 'mypassword' ADD 123 Name varchar(255)", "ALTER  TABLE MyTable ? ADD ? Name varchar(?)",
     "ALTER TABLE MyTable"),
];

fn check((query, text, expected): Case) {
    let text = if text.is_empty() { query } else { text };
    for dialect in BOTH {
        let sent = sanitized(query.as_bytes(), true, dialect);
        assert_eq!(String::from_utf8_lossy(&sent), text, "{query}");
        assert_eq!(summary(query, dialect), expected, "{query}");
        assert_eq!(digest(query, dialect), digest(text, dialect), "the digest differs from that of the text: {query}");
    }
}

#[test]
fn the_24_cases_of_the_first_edition() {
    FIRST.into_iter().for_each(check);
}

#[test]
fn the_cases_added_since() {
    SINCE.iter().copied().for_each(check);
    let long = format!("SELECT * FROM {LONG} o, OrderDetails od");
    for dialect in BOTH {
        assert_eq!(summary(&long, dialect), "SELECT", "a name that does not fit is left out as a whole");
        assert_eq!(sanitized(long.as_bytes(), true, dialect), long.as_bytes());
    }
}

/// The one case that is not followed: it expects `UPDATE` without its table, where the conventions' text, which says what a
/// summary is, wants operations and their targets.
#[test]
fn an_update_names_its_table() {
    for dialect in BOTH {
        assert_eq!(summary("UPDATE T SET A = (999);", dialect), "UPDATE T");
        assert_eq!(sanitized(b"UPDATE T SET A = (999);", true, dialect), b"UPDATE T SET A = (?);");
    }
}

/// The examples in the text of the conventions.
#[test]
fn examples_of_the_text() {
    let cases = [
        ("SELECT *\nFROM wuser_table\nWHERE username = ?", "SELECT wuser_table"),
        ("SELECT *\nFROM songs,\n artists\nWHERE songs.artist_id == artists.id", "SELECT songs artists"),
        ("{call some_stored_procedure}", "call some_stored_procedure"),
        ("SELECT * FROM (SELECT * FROM table) t", "SELECT SELECT table"),
    ];
    for (query, expected) in cases {
        for dialect in BOTH {
            assert_eq!(summary(query, dialect), expected);
        }
    }
    let quoted = "SELECT * FROM \"song list\", 'artists'";
    assert_eq!(summary(quoted, super::Dialect::Postgresql), "SELECT \"song list\"", "a string is no table here");
}
