{# Results of earlier builds, for models upstream of the tables that store them. A `ref` would
   create a cycle: whether a load is pending depends on what was cleaned, evaluated and published
   before. #}


{% macro previous_load_counts() -%}
    {{ previous_state_of('silver', 'load_counts', {'batch_id': 'string', 'rules_version': 'string'}) }}
{%- endmacro %}


{% macro previous_gate_results() -%}
    {{ previous_state_of('audit', 'gate_results', {
        'batch_id': 'string',
        'rule': 'string',
        'severity': 'string',
        'figure': 'double',
        'verdict': 'string',
        'rules_version': 'string',
        'judged_at': 'timestamp',
        'candidates_built_at': 'timestamp',
        'verdict_number': 'bigint',
    }) }}
{%- endmacro %}


{% macro previous_approvals() -%}
    {#- What people have approved: load, rule, the value that they saw, their name and reason. A log of
        an earlier version has neither of the last two columns. A struct of all columns can be read
        without them, whereas dbt would need a statement to find out. -#}
    (
        select
            batch_id,
            rule,
            max_by(figure, verdict_number) as figure,
            max_by(approval.approver, verdict_number) as approver,
            max_by(approval.reason, verdict_number) as reason
        from (
            select
                *,
                from_json(to_json(struct(*)), 'approver string, reason string') as approval
            from {{ previous_gate_results() }}
            where verdict = 'pending'
        )
        where approval.approver is not null
        group by batch_id, rule
    )
{%- endmacro %}


{% macro previous_publications() -%}
    {{ previous_state_of('gold', 'publications', {
        'batch_id': 'string',
        'extract_date': 'date',
        'published_at': 'timestamp',
        'publication_number': 'bigint',
    }) }}
{%- endmacro %}


{% macro current_gold_loads() -%}
    {#- The load that gold contains for each date: the last one that was published. -#}
    (
        select
            extract_date,
            max_by(batch_id, struct(publication_number, published_at)) as batch_id
        from {{ previous_publications() }}
        group by extract_date
    )
{%- endmacro %}


{% macro previous_published_customers() -%}
    {#- The customers of each published extract: customer_id and extract_date of every label. -#}
    {{ previous_state_of('gold', 'churn_labels', {'customer_id': 'string', 'extract_date': 'date'}) }}
{%- endmacro %}


{% macro previous_published_labels() -%}
    {#- The label of each customer of each published extract. -#}
    {{ previous_state_of('gold', 'churn_labels', {
        'customer_id': 'string',
        'extract_date': 'date',
        'churned': 'int',
    }) }}
{%- endmacro %}


{% macro next_number(column, relation) -%}
    {#- The number of the rows that this build adds to a table. Rows are ordered by numbers, not by
        times: docs/decisions/0027-stored-order.md. -#}
    (select coalesce(max({{ relation }}.{{ column }}), 0) + 1 from {{ relation }})
{%- endmacro %}


{% macro candidates_time() -%}
    {#- The time of the candidates of this build: later than that of all evaluated ones, even if the
        clock was set back. -#}
    greatest(
        current_timestamp(),
        (
            select max(evaluated.candidates_built_at) + interval 1 microsecond
            from {{ previous_gate_results() }} as evaluated
        )
    )
{%- endmacro %}


{% macro migrate_earlier_versions() %}
    {#- Change what earlier versions left in the lake. A migration starts from the tables that dbt
        knows already, so that it costs a current lake no statement. -#}
    {%- if execute and invocation_args_dict.which in ('build', 'run') -%}
        {%- set former = [] -%}
        {%- for schema, identifier in [
            ('audit', 'compared_loads'),
            ('audit', 'load_figures'),
            ('audit', 'possible_judgements'),
            ('silver', 'faulty_rows'),
            ('silver', 'open_loads'),
        ] -%}
            {%- set relation = adapter.get_relation(target.database, schema, identifier) -%}
            {%- if relation is not none -%}
                {%- do former.append(relation) -%}
            {%- endif -%}
        {%- endfor -%}
        {#- An earlier version has built, or it has only loaded. -#}
        {%- set pending = adapter.get_relation(target.database, 'silver', 'pending_loads') -%}
        {%- if former or pending is none -%}
            {{ add_number_columns() }}
        {%- endif -%}
        {%- for relation in former -%}
            {%- do adapter.drop_relation(relation) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{% macro add_number_columns() %}
    {#- Existing rows have no number, and sort before the others by their times. -#}
    {%- for schema, identifier, column in [
        ('bronze', 'loads', 'load_number'),
        ('audit', 'gate_results', 'verdict_number'),
        ('gold', 'publications', 'publication_number'),
    ] -%}
        {%- set relation = adapter.get_relation(target.database, schema, identifier) -%}
        {%- if relation is not none and not has_column(schema, identifier, column) -%}
            {%- do run_query('alter table ' ~ relation ~ ' add columns (' ~ column ~ ' bigint)') -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{% macro has_column(schema, identifier, column) -%}
    {#- Whether the table exists and has the column. -#}
    {%- set relation = adapter.get_relation(target.database, schema, identifier) -%}
    {{ return(
        relation is not none
        and column in adapter.get_columns_in_relation(relation) | map(attribute='name')
    ) }}
{%- endmacro %}


{% macro previous_state_of(schema, identifier, columns) %}
    {#- The existing table, or an empty relation with its columns before its first build. -#}
    {%- set relation = adapter.get_relation(target.database, schema, identifier)
        if execute else none -%}
    {%- if relation is not none -%}
        {{ relation }}
    {%- else -%}
        (
            select
                {%- for name, type in columns.items() %}
                cast(null as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
                {%- endfor %}
            where false
        )
    {%- endif -%}
{% endmacro %}
