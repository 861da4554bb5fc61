import static java.nio.charset.StandardCharsets.UTF_8;

import java.security.MessageDigest;
import javax.security.sasl.AuthenticationException;
import org.apache.hive.service.auth.PasswdAuthenticationProvider;

/**
 * Lets a client of the Thrift endpoint in by the same secret as Spark's own check of the Connect
 * endpoint, which takes it from the same variable. Without the variable every login is rejected.
 *
 * Compiled by lakehouse.jars, with Spark's own compiler of generated code.
 */
public final class ServerPassword implements PasswdAuthenticationProvider {
    private static final byte[] EXPECTED =
        System.getenv("SPARK_CONNECT_AUTHENTICATE_TOKEN").getBytes(UTF_8);

    @Override
    public void Authenticate(String user, String password) throws AuthenticationException {
        if (password == null || !MessageDigest.isEqual(EXPECTED, password.getBytes(UTF_8))) {
            throw new AuthenticationException("The password is not that of this server");
        }
    }
}
