import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

/** An HTTP server on the JDK's own: `java Server.java PORT [THREADS]`. Routes: see lab/runtimes.rs. */
public class Server {
  public static void main(String[] arguments) throws IOException {
    var port = Integer.parseInt(arguments[0]);
    var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 1024);
    var threads = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 16;
    server.setExecutor(Executors.newFixedThreadPool(threads));
    server.createContext("/", Server::answer);
    server.start();
  }

  private static void answer(HttpExchange exchange) throws IOException {
    var path = exchange.getRequestURI().getPath();
    var body = exchange.getRequestBody().readAllBytes();
    var status = 200;
    var answer = new byte[0];
    if (path.equals("/")) {
      answer = "hello\n".getBytes();
    } else if (path.equals("/echo")) {
      answer = body;
    } else if (path.equals("/slow")) {
      try {
        Thread.sleep(50);
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
      answer = "slow\n".getBytes();
    } else if (path.startsWith("/status/")) {
      status = Integer.parseInt(path.substring("/status/".length()));
    } else {
      status = 404;
    }
    exchange.sendResponseHeaders(status, answer.length == 0 ? -1 : answer.length); // -1: no body
    if (answer.length > 0) {
      exchange.getResponseBody().write(answer);
    }
    exchange.close();
  }
}
