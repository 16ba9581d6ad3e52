import java.io.FileInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.security.KeyStore;
import java.security.Security;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** JSSE servers: java Jsse.java OLD KEYSTORE.p12 PORT,VERSIONS,SUITES,CLIENT,ORDER ... (`*` stands for all, lists are joined by `+`). */
public class Jsse {
    public static void main(String[] given) throws Exception {
        // The list of 17.0.15: later updates of the same package disable TLS_RSA_* too.
        Security.setProperty("jdk.tls.disabledAlgorithms", "SSLv3, TLSv1, TLSv1.1, DTLSv1.0, RC4, DES, MD5withRSA, DH keySize < 1024, EC keySize < 224, 3DES_EDE_CBC, anon, NULL, ECDH");
        if (given[0].equals("old")) {
            Security.setProperty("jdk.tls.disabledAlgorithms", "");
            Security.setProperty("jdk.certpath.disabledAlgorithms", "");
        }
        char[] password = "panel1".toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(given[1])) {
            store.load(in, password);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(store, password);
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init((KeyStore) null);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        for (int i = 2; i < given.length; i++) {
            String[] part = given[i].split(",");
            SSLServerSocket server = (SSLServerSocket) context.getServerSocketFactory().createServerSocket(Integer.parseInt(part[0]), 128, InetAddress.getByName("127.0.0.1"));
            if (!part[1].equals("default")) server.setEnabledProtocols(part[1].equals("*") ? server.getSupportedProtocols() : part[1].split("\\+"));
            if (!part[2].equals("default")) server.setEnabledCipherSuites(part[2].equals("*") ? server.getSupportedCipherSuites() : part[2].split("\\+"));
            SSLParameters parameters = server.getSSLParameters();
            parameters.setUseCipherSuitesOrder(part[4].equals("server"));
            server.setSSLParameters(parameters);
            if (part[3].equals("required")) server.setNeedClientAuth(true);
            if (part[3].equals("requested")) server.setWantClientAuth(true);
            new Thread(() -> accept(server)).start();
        }
    }

    static void accept(SSLServerSocket server) {
        while (true) {
            try {
                SSLSocket socket = (SSLSocket) server.accept();
                socket.setSoTimeout(20_000);
                new Thread(() -> serve(socket)).start();
            } catch (Exception ignored) {
            }
        }
    }

    static void serve(SSLSocket socket) {
        try (socket) {
            socket.getInputStream().read(new byte[4096]);
            OutputStream out = socket.getOutputStream();
            out.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npanel\n".getBytes());
            out.flush();
        } catch (Exception ignored) {
        }
    }
}
