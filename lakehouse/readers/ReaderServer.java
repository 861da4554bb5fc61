import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.file.Files;
import java.nio.file.Paths;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.hive.thriftserver.HiveThriftServer2;
import org.apache.spark.sql.hive.thriftserver.SparkSQLEnv;

/** Starts the readers' server: create its tables, then refuse all but reading, then let readers in. */
public final class ReaderServer {
    private ReaderServer() {}

    /** Takes the path of a file with one SQL statement per line. */
    public static void main(String[] arguments) throws Exception {
        SparkSQLEnv.init();
        SparkSession session = SparkSQLEnv.sparkSession();
        String[] statements =
            new String(Files.readAllBytes(Paths.get(arguments[0], new String[0])), UTF_8).split("\n");
        for (int i = 0; i < statements.length; i++) {
            session.sql(statements[i]);
        }
        ReaderRules.seal();
        HiveThriftServer2.startWithSparkSession(session, true);
    }
}
