import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.Iterator;
import java.util.Set;
import org.sparkproject.connect.grpc.ForwardingServerCallListener;
import org.sparkproject.connect.grpc.Metadata;
import org.sparkproject.connect.grpc.ServerCall;
import org.sparkproject.connect.grpc.ServerCallHandler;
import org.sparkproject.connect.grpc.ServerInterceptor;
import org.sparkproject.connect.grpc.Status;
import org.sparkproject.connect.protobuf.Message;

/**
 * Lets readers in at the Connect endpoint, and accepts only messages that read tables.
 *
 * The protocol can also carry code, files and addresses of other sources, some of which Spark opens
 * before it has a plan that ReaderRules could check. So a request may consist of the listed messages
 * and no other: what a later version of Spark adds is refused.
 */
public final class ReaderInterceptor implements ServerInterceptor {
    private static final Metadata.Key AUTHORIZATION =
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private static final String PROTOCOL = "spark.connect.";
    private static final String BEARER = "Bearer ";
    private static final String ROWS = PROTOCOL + "LocalRelation";
    private static final Set ACCEPTED = new HashSet(Arrays.asList(new Object[] {
        // requests
        "ExecutePlanRequest", "ExecutePlanRequest.RequestOption", "UserContext", "ReattachOptions",
        "ResultChunkingOptions", "Plan", "Command", "SqlCommand", "ReattachExecuteRequest",
        "ReleaseExecuteRequest", "ReleaseExecuteRequest.ReleaseAll",
        "ReleaseExecuteRequest.ReleaseUntil", "ReleaseSessionRequest", "InterruptRequest",
        "FetchErrorDetailsRequest", "ArtifactStatusesRequest", "GetStatusRequest",
        "GetStatusRequest.OperationStatusRequest", "ConfigRequest", "ConfigRequest.Operation",
        "ConfigRequest.Get", "ConfigRequest.GetWithDefault", "ConfigRequest.GetOption",
        "ConfigRequest.GetAll", "ConfigRequest.IsModifiable", "KeyValue", "AnalyzePlanRequest",
        "AnalyzePlanRequest.Schema", "AnalyzePlanRequest.Explain", "AnalyzePlanRequest.TreeString",
        "AnalyzePlanRequest.IsLocal", "AnalyzePlanRequest.IsStreaming",
        "AnalyzePlanRequest.SparkVersion", "AnalyzePlanRequest.SameSemantics",
        "AnalyzePlanRequest.SemanticHash", "AnalyzePlanRequest.DDLParse",
        // relations
        "Relation", "RelationCommon", "LocalRelation", "Read", "Read.NamedTable", "SQL", "Project", "Filter", "Join",
        "Join.JoinDataType", "AsOfJoin", "LateralJoin", "SetOperation", "Sort", "Limit", "Offset",
        "Tail", "Aggregate", "Aggregate.Pivot", "Aggregate.GroupingSets", "Deduplicate", "Range",
        "SubqueryAlias", "Repartition", "RepartitionByExpression", "Sample", "Drop", "ToDF",
        "WithColumns", "WithColumnsRenamed", "WithColumnsRenamed.Rename", "WithRelations", "Hint",
        "Unpivot", "Unpivot.Values", "Transpose", "ShowString", "HtmlString", "NAFill", "NADrop",
        "NAReplace", "NAReplace.Replacement", "StatSummary", "StatDescribe", "StatCrosstab",
        "StatCov", "StatCorr", "StatApproxQuantile", "StatFreqItems", "StatSampleBy",
        "StatSampleBy.Fraction", "UnresolvedTableValuedFunction",
        // the catalog
        "Catalog", "CurrentDatabase", "SetCurrentDatabase", "ListDatabases", "ListTables",
        "ListColumns", "ListFunctions", "GetDatabase", "GetTable", "DatabaseExists", "TableExists",
        "CurrentCatalog", "ListCatalogs", "FunctionExists", "GetFunction",
        // expressions
        "Expression", "ExpressionCommon", "Expression.UnresolvedAttribute",
        "Expression.UnresolvedFunction", "Expression.ExpressionString",
        "Expression.UnresolvedStar", "Expression.UnresolvedRegex", "Expression.SortOrder",
        "Expression.Alias", "Expression.Cast", "Expression.LambdaFunction",
        "Expression.UnresolvedNamedLambdaVariable", "Expression.Window",
        "Expression.Window.WindowFrame", "Expression.Window.WindowFrame.FrameBoundary",
        "Expression.UnresolvedExtractValue", "Expression.UpdateFields", "CallFunction",
        "NamedArgumentExpression", "SubqueryExpression", "Expression.Literal",
        "Expression.Literal.Decimal", "Expression.Literal.CalendarInterval",
        "Expression.Literal.Array", "Expression.Literal.Map", "Expression.Literal.Struct",
        "Expression.Literal.SpecializedArray", "Expression.Literal.Time", "Bools", "Ints", "Longs",
        "Floats", "Doubles", "Strings",
        // data types: not DataType.UDT, which names a class
        "DataType", "DataType.NULL", "DataType.Binary", "DataType.Boolean", "DataType.Byte",
        "DataType.Short", "DataType.Integer", "DataType.Long", "DataType.Float",
        "DataType.Double", "DataType.String", "DataType.Char", "DataType.VarChar",
        "DataType.Date", "DataType.Timestamp", "DataType.TimestampNTZ", "DataType.Time",
        "DataType.CalendarInterval", "DataType.YearMonthInterval", "DataType.DayTimeInterval",
        "DataType.Array", "DataType.Struct", "DataType.StructField", "DataType.Map",
        "DataType.Decimal", "DataType.Unparsed",
        // where in the client's program an expression is
        "Origin", "PythonOrigin", "JvmOrigin", "StackTraceElement", "SourceCodeLocation"
    }));

    @Override
    public ServerCall.Listener interceptCall(
            final ServerCall call, Metadata headers, ServerCallHandler next) {
        String sent = (String) headers.get(AUTHORIZATION);
        boolean hasKey = sent != null && sent.startsWith(BEARER);
        if (!ReaderRules.isSealed()) {
            call.close(Status.UNAVAILABLE.withDescription("The server is starting"), new Metadata());
            return new NoListener();
        }
        if (!hasKey || ReaderKeys.findName(sent.substring(BEARER.length())) == null) {
            call.close(
                Status.UNAUTHENTICATED.withDescription("The token is not the key of a reader"),
                new Metadata());
            return new NoListener();
        }
        return new Checked(next.startCall(call, headers), call);
    }

    /** Returns the name of a message inside this one that is not accepted, or null. */
    static String findRefused(Message message) {
        String name = message.getDescriptorForType().getFullName();
        boolean isEntry = message.getDescriptorForType().getOptions().getMapEntry();
        boolean isOfProtocol = name.startsWith(PROTOCOL);
        if (!isEntry
                && !(isOfProtocol && ACCEPTED.contains(name.substring(PROTOCOL.length())))) {
            return name;
        }
        // The rows of a command's result come back as a relation. A schema could name a class.
        if (name.equals(ROWS) && message.getAllFields().size() > 1) {
            return name;
        }
        Iterator values = message.getAllFields().values().iterator();
        while (values.hasNext()) {
            String refused = findRefusedValue(values.next());
            if (refused != null) {
                return refused;
            }
        }
        return null;
    }

    private static String findRefusedValue(Object value) {
        if (value instanceof Message) {
            return findRefused((Message) value);
        }
        if (value instanceof Collection) {
            Iterator items = ((Collection) value).iterator();
            while (items.hasNext()) {
                String refused = findRefusedValue(items.next());
                if (refused != null) {
                    return refused;
                }
            }
        }
        return null;
    }

    /** Ignores what follows a refused call. */
    private static final class NoListener extends ServerCall.Listener {}

    /** Forwards accepted messages. */
    private static final class Checked
            extends ForwardingServerCallListener.SimpleForwardingServerCallListener {
        private final ServerCall call;
        private boolean isRefused = false;

        Checked(ServerCall.Listener listener, ServerCall call) {
            super(listener);
            this.call = call;
        }

        @Override
        public void onMessage(Object message) {
            String refused = findRefused((Message) message);
            if (refused == null) {
                super.onMessage(message);
                return;
            }
            this.isRefused = true;
            this.call.close(
                Status.PERMISSION_DENIED.withDescription(
                    "Readers read tables and do nothing else; refused: " + refused),
                new Metadata());
        }

        @Override
        public void onHalfClose() {
            if (!this.isRefused) {
                super.onHalfClose();
            }
        }
    }
}
