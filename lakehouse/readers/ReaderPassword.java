import javax.security.sasl.AuthenticationException;
import org.apache.hive.service.auth.PasswdAuthenticationProvider;

/** Lets a reader in at the Thrift endpoint: the user is the reader's name, the password the key. */
public final class ReaderPassword implements PasswdAuthenticationProvider {
    @Override
    public void Authenticate(String user, String password) throws AuthenticationException {
        String name = ReaderKeys.findName(password);
        if (name == null || !name.equals(user)) {
            throw new AuthenticationException("There is no reader with this name and key");
        }
    }
}
