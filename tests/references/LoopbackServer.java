import java.lang.reflect.Field;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;

/** Serves DynamoDB Local on loopback, on a free port that it prints, until standard input ends. */
public class LoopbackServer {
  public static void main(String[] arguments) throws Exception {
    DynamoDBProxyServer proxy = ServerRunner.createServerFromCommandLineArgs(arguments);
    Field field = DynamoDBProxyServer.class.getDeclaredField("server");
    field.setAccessible(true);
    ServerConnector connector = null;
    for (Connector each : ((Server) field.get(proxy)).getConnectors()) {
      connector = (ServerConnector) each;
      connector.setHost("127.0.0.1"); // else it listens on every interface
      connector.setPort(0);
    }
    proxy.start();
    System.out.println("port " + connector.getLocalPort());
    System.in.read();
    proxy.stop();
  }
}
