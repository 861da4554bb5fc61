import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.catalyst.expressions.CallMethodViaReflection;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.plans.QueryPlan;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.execution.datasources.LogicalRelation;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/**
 * Makes every session of this server read-only: a statement may read the tables of the catalog, which
 * ReaderServer has created, and describe them; everything else is refused.
 *
 * The first rule refuses names outside the readers' schemas, the second one checks the resolved plan.
 * Until `seal` is called, both accept everything.
 */
public final class ReaderRules extends AbstractFunction1 {
    static final String SCHEMAS = "readers have the schemas gold and audit";
    private static final Set READABLE = new HashSet(Arrays.asList(new Object[] {"gold", "audit"}));
    private static final Set COMMANDS = new HashSet(Arrays.asList(new Object[] {
        "DescribeColumnCommand", "DescribeNamespace", "DescribeQueryCommand", "DescribeRelation",
        "DescribeTableCommand", "DescribeColumn", "DescribeDatabaseCommand", "ExplainCommand",
        "SetCatalogAndNamespace", "SetNamespaceCommand", "ShowCatalogsCommand", "ShowColumns",
        "ShowColumnsCommand", "ShowCurrentNamespaceCommand", "ShowFunctionsCommand",
        "ShowFunctions", "ShowNamespaces", "ShowNamespacesCommand", "ShowTables",
        "ShowTablesCommand", "ShowViews", "ShowViewsCommand"
    }));
    // What a query consists of, and of the rest what Delta reads its own log with.
    private static final Set NODES = new HashSet(Arrays.asList(new Object[] {
        "Aggregate", "AsOfJoin", "CTERelationDef", "Deduplicate", "Distinct", "Except", "Expand",
        "Filter", "Generate", "GlobalLimit", "Intersect", "Join", "LateralJoin", "LocalLimit",
        "Offset", "Pivot", "Project", "RebalancePartitions", "Repartition",
        "RepartitionByExpression", "ResolvedHint", "Sample", "Sort", "Subquery", "SubqueryAlias",
        "Tail", "Union", "Unpivot", "View", "Window", "WithCTE",
        "AppendColumns", "DeserializeToObject", "MapElements", "MapGroups", "MapPartitions",
        "SerializeFromObject", "TypedFilter"
    }));
    private static final Set LEAVES = new HashSet(Arrays.asList(new Object[] {
        "CTERelationRef", "LocalRelation", "LogicalRDD", "OneRowRelation", "Range", "ResolvedTable",
        "ResolvedNamespace", "ResolvedPersistentView"
    }));
    private static volatile boolean isSealed = false;

    /** Starts to refuse; the server's tables exist, and no client has been let in. */
    static void seal() {
        isSealed = true;
    }

    static boolean isSealed() {
        return isSealed;
    }

    @Override
    public Object apply(Object extensions) {
        SparkSessionExtensions server = (SparkSessionExtensions) extensions;
        server.injectResolutionRule(new AbstractFunction1() {
            public Object apply(Object session) {
                // Before the session's first statement, and after the settings that its client sent:
                // Spark would open a file that a statement names before the plan can be checked.
                ((SparkSession) session).conf().set("spark.sql.runSQLOnFiles", "false");
                return new CheckNames();
            }
        });
        server.injectCheckRule(new AbstractFunction1() {
            public Object apply(Object session) {
                return new CheckPlan();
            }
        });
        return BoxedUnit.UNIT;
    }

    private static RuntimeException refuse(String what) {
        return new SecurityException("Readers cannot use " + what + ": " + SCHEMAS);
    }

    /** Refuses names outside the readers' schemas. */
    private static final class CheckNames extends Rule {
        public TreeNode apply(TreeNode plan) {
            if (isSealed) {
                ((QueryPlan) plan).foreachWithSubqueries(new AbstractFunction1() {
                    public Object apply(Object node) {
                        check(node);
                        return BoxedUnit.UNIT;
                    }
                });
            }
            return plan;
        }

        static void check(Object node) {
            String kind = node.getClass().getSimpleName();
            if (kind.endsWith("Statement")) {
                // No query has one. Delta would make an empty query of a RESTORE to the last version.
                throw refuse("this statement (" + kind + ")");
            }
            if (!kind.equals("UnresolvedRelation") && !kind.startsWith("UnresolvedTable")
                    && !kind.equals("UnresolvedView")) {
                return;
            }
            scala.collection.immutable.Seq parts = names(node);
            if (parts == null) {
                return;
            }
            int size = parts.size();
            String schema = size > 1 ? String.valueOf(parts.apply(size - 2)) : null;
            boolean isOfCatalog = size < 3 || String.valueOf(parts.head()).equals("spark_catalog");
            if (size > 3 || !isOfCatalog || (schema != null && !READABLE.contains(schema))) {
                throw refuse(parts.mkString("."));
            }
        }

        private static scala.collection.immutable.Seq names(Object node) {
            try {
                return (scala.collection.immutable.Seq)
                    node.getClass().getMethod("multipartIdentifier", new Class[0])
                        .invoke(node, new Object[0]);
            } catch (ReflectiveOperationException error) {
                return null;
            }
        }
    }

    /** Refuses plans that do not only read the catalog's tables. */
    private static final class CheckPlan extends AbstractFunction1 {
        @Override
        public Object apply(Object plan) {
            if (isSealed) {
                ((LogicalPlan) plan).foreachWithSubqueries(new AbstractFunction1() {
                    public Object apply(Object node) {
                        checkNode((LogicalPlan) node);
                        return BoxedUnit.UNIT;
                    }
                });
            }
            return BoxedUnit.UNIT;
        }

        static void checkNode(LogicalPlan node) {
            String kind = node.getClass().getSimpleName();
            if (node instanceof Command) {
                if (!COMMANDS.contains(kind)) {
                    throw refuse("this statement (" + kind + ")");
                }
            } else if (node.children().isEmpty()) {
                if (!LEAVES.contains(kind) && !isPublished(node)) {
                    throw refuse("what is not a table (" + kind + ")");
                }
            } else if (!NODES.contains(kind)) {
                throw refuse("this statement (" + kind + ")");
            }
            Iterator expressions = node.expressions().iterator();
            while (expressions.hasNext()) {
                ((Expression) expressions.next()).foreach(new AbstractFunction1() {
                    public Object apply(Object expression) {
                        if (expression instanceof CallMethodViaReflection) {
                            throw refuse("methods of Java");
                        }
                        return BoxedUnit.UNIT;
                    }
                });
            }
        }

        /** Whether a leaf is a table of the catalog, or the log of one, which Delta reads. */
        private static boolean isPublished(LogicalPlan node) {
            if (!(node instanceof LogicalRelation)) {
                return false;
            }
            LogicalRelation relation = (LogicalRelation) node;
            if (relation.catalogTable().isDefined()) {
                return true;
            }
            return relation.relation() instanceof HadoopFsRelation
                && ((HadoopFsRelation) relation.relation()).location().getClass().getName()
                    .equals("org.apache.spark.sql.delta.DeltaLogFileIndex");
        }
    }
}
