import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads the hashes of the readers' keys, which lakehouse/readers/users.py writes, at each login: a
 * removed reader is rejected at once.
 */
final class ReaderKeys {
    private static final File FOLDER = new File(System.getenv("CHURN_READER_KEYS"));
    private static final Pattern HASH = Pattern.compile("\"sha256\": \"([0-9a-f]{64})\"");

    private ReaderKeys() {}

    /** Returns the name of the reader who has this key, or null. */
    static String findName(String key) {
        File[] files = FOLDER.listFiles();
        if (key == null || files == null) {
            return null;
        }
        String found = null;
        try {
            byte[] given = hash(key).getBytes(UTF_8);
            for (int i = 0; i < files.length; i++) {
                String name = files[i].getName();
                Matcher stored = HASH.matcher(new String(Files.readAllBytes(files[i].toPath()), UTF_8));
                if (name.endsWith(".json") && stored.find()
                        && MessageDigest.isEqual(stored.group(1).getBytes(UTF_8), given)) {
                    found = name.substring(0, name.length() - ".json".length());
                }
            }
        } catch (IOException error) {
            return null;
        } catch (GeneralSecurityException error) {
            return null;
        }
        return found;
    }

    private static String hash(String key) throws GeneralSecurityException {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(key.getBytes(UTF_8));
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < digest.length; i++) {
            text.append(Character.forDigit((digest[i] >> 4) & 15, 16));
            text.append(Character.forDigit(digest[i] & 15, 16));
        }
        return text.toString();
    }
}
