"""What a statement may be made of, as data. What is not here is refused.

The lists name things of PostgreSQL's schema ``pg_catalog``. A name on the list allows every function of that name, so
each was looked at with all its variants: none writes, waits, locks, reads files, settings or other sessions, runs text
as SQL, or finds a table by its name in a text. ``tests/sqlgate/test_allowed.py`` holds them against the server's list.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYWORDS = _words(
    """
    select distinct all from where group by having order asc desc nulls first last limit offset fetch next row rows only
    with ties union intersect except as recursive materialized values lateral ordinality tablesample repeatable
    join inner left right full outer cross natural on using
    and or not is null isnull notnull true false unknown in between symmetric asymmetric like ilike similar to escape
    exists any some array case when then else end cast collate at zone overlaps
    over partition range groups unbounded preceding following current exclude no others window filter within
    grouping sets cube rollup variadic
    current_date current_time current_timestamp localtime localtimestamp
    coalesce greatest least nullif extract substring overlay position trim both leading trailing placing for normalize nfc nfd nfkc nfkd
    interval year month day hour minute second time timestamp without double precision varying character char varchar
    bit boolean int integer smallint bigint real float decimal dec numeric json
    """
)
"""Keywords that mean something in a statement. Any other one can only be a name, and is quoted."""

FUNCTION_KEYWORDS = _words(
    "coalesce greatest least nullif extract substring overlay position trim normalize grouping left right"
)
"""Keywords that are functions when a parenthesis follows."""

TYPE_KEYWORDS = _words(
    """
    interval time timestamp double character char varchar bit boolean int integer smallint bigint real float decimal dec
    numeric json
    """
)
"""Keywords that begin the name of a type; all of these are allowed."""

PARENTHESIS_KEYWORDS = _words(
    """
    select distinct all from where by having limit offset union intersect except as values lateral repeatable on using
    and or not in between symmetric asymmetric like ilike similar to escape exists any some array case when then else
    over filter group sets cube rollup variadic both leading trailing placing for row cast
    current_time current_timestamp localtime localtimestamp join first next materialized overlaps zone
    """
)
"""Keywords behind which a parenthesis may stand without being the call of a function of that name."""

_MATHEMATICS = """
    abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd cosh cot cotd degrees
    div erf erfc exp factorial floor gamma gcd lcm lgamma ln log log10 min_scale mod pi pow power radians random
    random_normal round scale sign sin sind sinh sqrt tan tand tanh trim_scale trunc width_bucket bit_count
    get_bit set_bit get_byte set_byte
"""
_TEXT = """
    ascii bit_length btrim char_length character_length chr concat concat_ws convert_from convert_to decode encode
    format initcap is_normalized left length lower lpad ltrim md5 normalize octet_length overlay parse_ident position
    quote_ident quote_literal quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches
    regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim
    sha224 sha256 sha384 sha512 split_part starts_with string_to_array string_to_table strpos substr substring to_ascii
    to_bin to_hex to_oct translate trim unistr upper casefold hashtext hashtextextended like notlike crc32 crc32c
"""
_TIME = """
    age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days justify_hours
    justify_interval make_date make_interval make_time make_timestamp make_timestamptz now overlaps
    statement_timestamp timeofday timezone to_char to_date to_number to_timestamp transaction_timestamp
"""
_CHOICE = "coalesce greatest least nullif num_nonnulls num_nulls grouping"
_AGGREGATES = """
    any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every json_agg
    json_agg_strict json_object_agg json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict
    jsonb_agg jsonb_agg_strict jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique
    jsonb_object_agg_unique_strict max min mode percentile_cont percentile_disc range_agg range_intersect_agg regr_avgx
    regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance
"""
_WINDOWS = "cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number"
_ARRAYS = """
    array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions
    array_prepend array_remove array_replace array_reverse array_sample array_shuffle array_sort array_to_json
    array_to_string array_upper cardinality generate_series generate_subscripts trim_array unnest
"""
_JSON = """
    json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each
    json_each_text json_extract_path json_extract_path_text json_object json_object_keys json_strip_nulls json_to_record
    json_to_recordset json_typeof jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
    jsonb_build_object jsonb_concat jsonb_contains jsonb_delete jsonb_delete_path jsonb_each jsonb_each_text
    jsonb_exists jsonb_exists_all jsonb_exists_any jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object
    jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query
    jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz
    jsonb_path_query_tz jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset
    jsonb_typeof row_to_json to_json to_jsonb
"""
_FULL_TEXT = """
    array_to_tsvector json_to_tsvector jsonb_to_tsvector numnode phraseto_tsquery plainto_tsquery querytree setweight
    strip to_tsquery to_tsvector ts_delete ts_filter ts_headline ts_rank ts_rank_cd tsquery_phrase tsvector_to_array
    websearch_to_tsquery
"""
_GEOMETRY = """
    area bound_box box center circle diagonal diameter height isclosed ishorizontal isopen isparallel isperp isvertical
    line lseg npoints path pclose point polygon popen radius slope width
"""
_NETWORK = """
    abbrev broadcast cidr family host hostmask inet_merge inet_same_family macaddr macaddr8 macaddr8_set7bit masklen
    netmask network set_masklen
"""
_RANGES = """
    daterange datemultirange int4range int4multirange int8range int8multirange isempty lower_inc lower_inf multirange
    nummultirange numrange range_merge tsmultirange tsrange tstzmultirange tstzrange upper_inc upper_inf
"""
_OTHER = """
    gen_random_uuid pg_column_size pg_size_bytes pg_size_pretty pg_typeof uuid_extract_timestamp uuid_extract_version
    uuidv4 uuidv7
"""
_CASTS = """
    bool bpchar bytea date float4 float8 int2 int4 int8 interval jsonb money name numeric text time timestamp
    timestamptz timetz varbit varchar
"""

FUNCTIONS = _words(
    " ".join(
        (
            _MATHEMATICS, _TEXT, _TIME, _CHOICE, _AGGREGATES, _WINDOWS, _ARRAYS, _JSON, _FULL_TEXT, _GEOMETRY, _NETWORK,
            _RANGES, _OTHER, _CASTS,
        )
    )
)  # fmt: skip
"""Not here, with the reason: what waits (``pg_sleep``), locks (``pg_advisory_*``), runs or reads by text
(``query_to_xml`` and its family, ``ts_stat``, ``ts_rewrite``, ``nextval``, ``currval``, ``to_regclass``), tells of the
server, its settings, files and sessions (``version``, ``current_setting``, ``pg_*``, ``inet_*_addr``), changes the
session (``set_config``, ``setseed``), or serves only PostgreSQL itself (``int4pl``, ``array_in``)."""

IMPLICIT_FUNCTIONS = _words(
    """
    array_in like_escape similar_escape similar_to_escape bpcharcmp stable_text record_eq like ilike
    int4pl int8pl numeric_add float8pl
    """
)
"""Further functions that PostgreSQL itself may show in the plan of what was allowed."""

SAMPLING = _words("bernoulli system")

TYPES = TYPE_KEYWORDS | _words(
    """
    bool bpchar bytea cidr circle box date datemultirange daterange float4 float8 inet int2 int4 int4multirange
    int4range int8 int8multirange int8range json jsonb jsonpath line lseg macaddr macaddr8 money name nummultirange
    numrange path point polygon text time timestamp timestamptz timetz tsmultirange tsquery tsrange tstzmultirange
    tstzrange tsvector uuid varbit record
    """
)
"""Targets of casts. Not here: the ``reg*`` family, which finds objects by name, row types, and pseudo-types."""

ARRAY_TYPES = frozenset(f"_{name}" for name in TYPES)
"""The same as PostgreSQL itself calls the arrays of them."""

OPERATORS = _words(
    """
    + - * / % ^ = <> != < > <= >= => || | & # ~ << >> !
    |/ ||/ @ !!
    ~* !~ !~* ~~ ~~* !~~ !~~* ^@ ~<~ ~<=~ ~>~ ~>=~
    -> ->> #> #>> #- @> <@ ? ?| ?& @? @@ @@@ && -|- &< &> <<| |>> &<| |&> <-> ## @-@ ?- ?# ?-| ?|| <^ >^ ~=
    <<= >>= *= *<> *< *> *<= *>=
    """
)
