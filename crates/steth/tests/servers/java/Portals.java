import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;

/** Reads results a hundred rows at a time with PostgreSQL's JDBC driver: `java -cp DRIVER Portals.java PORT`. */
public class Portals {
  public static void main(String[] arguments) throws SQLException {
    var settings = new Properties();
    settings.setProperty("user", "postgres");
    settings.setProperty("sslmode", "disable");
    try (var connection = DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + arguments[0] + "/postgres", settings)) {
      // Outside a transaction the driver would ask for all rows at once.
      connection.setAutoCommit(false);
      for (var last : new int[] {250, 300, 0}) {
        try (var statement = connection.prepareStatement("SELECT generate_series(1, ?)")) {
          statement.setFetchSize(100);
          statement.setInt(1, last);
          try (var rows = statement.executeQuery()) {
            var count = 0;
            while (rows.next()) {
              count++;
            }
            if (count != last) {
              throw new IllegalStateException(count + " rows instead of " + last);
            }
          }
        }
      }
      // One that fails behind rows that were sent already, and in which the portal is left.
      try (var statement = connection.createStatement()) {
        statement.setFetchSize(100);
        try (var rows = statement.executeQuery("SELECT 1 / (150 - n) FROM generate_series(1, 200) n")) {
          while (rows.next()) {}
          throw new IllegalStateException("it did not fail");
        } catch (SQLException error) {
          if (!error.getSQLState().equals("22012")) {
            throw error;
          }
        }
      }
      connection.rollback();
    }
  }
}
