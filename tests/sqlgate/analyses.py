"""Statements that people write, all of which must run. ``{birds}``, ``{places}`` and ``{public}`` are tables."""

from __future__ import annotations

ANALYSES = r'''
SELECT * FROM {birds} ORDER BY _id
SELECT name, mass FROM {birds} WHERE eggs > 2 ORDER BY mass DESC LIMIT 2 OFFSET 1;
SELECT DISTINCT place FROM {places} ORDER BY place -- a comment
SELECT DISTINCT ON (bird) bird, place, day FROM {places} ORDER BY bird, day DESC
SELECT count(*), count(seen), count(DISTINCT eggs), sum(mass), avg(eggs), min(name), max(name) FROM {birds}
SELECT round(avg(mass), 2) AS mean, stddev(eggs), variance(eggs), corr(eggs, mass) FROM {birds}
SELECT bird, count(*) AS n FROM {places} GROUP BY bird HAVING count(*) > 1 ORDER BY n DESC
SELECT b.name, p.place FROM {birds} b JOIN {places} p ON p.bird = b.name ORDER BY 1, 2
SELECT b.name, p.place FROM {birds} AS b LEFT JOIN {places} AS p ON p.bird = b.name AND p.day > '2024-01-01' ORDER BY b.name, p.place NULLS FIRST
SELECT b.name, p.bird FROM {birds} b FULL OUTER JOIN {places} p ON p.bird = b.name ORDER BY 1 NULLS LAST, 2
SELECT b.name, p.bird FROM {birds} b RIGHT JOIN {places} p ON p.bird = b.name ORDER BY 2, 1
SELECT count(*) FROM {birds} CROSS JOIN {places}
SELECT count(*) FROM {birds}, {places} WHERE name = bird
SELECT bird, code FROM {places} x INNER JOIN (SELECT name AS bird, mass AS code FROM {birds}) y USING (bird) ORDER BY place
SELECT count(*) FROM (SELECT name AS bird FROM {birds}) b NATURAL JOIN {places}
SELECT * FROM ({birds} b JOIN {places} p ON b.name = p.bird) JOIN {public} q ON q.n = b.eggs - 4 ORDER BY p.day
SELECT name FROM {birds} WHERE name IN (SELECT bird FROM {places}) ORDER BY name
SELECT name FROM {birds} b WHERE NOT EXISTS (SELECT 1 FROM {places} WHERE bird = b.name) ORDER BY name
SELECT name FROM {birds} WHERE eggs = ANY (ARRAY[1, 5]) ORDER BY 1
SELECT name FROM {birds} WHERE eggs >= ALL (SELECT eggs FROM {birds} WHERE eggs IS NOT NULL)
SELECT name, (SELECT count(*) FROM {places} p WHERE p.bird = b.name) AS seen_at FROM {birds} b ORDER BY name
WITH big AS (SELECT * FROM {birds} WHERE mass > 100) SELECT name FROM big ORDER BY name
WITH a AS (SELECT eggs AS x FROM {birds}), b(y) AS (SELECT x * 2 FROM a) SELECT sum(y) FROM b
WITH {places} AS (SELECT 1 AS one) SELECT * FROM {places}
WITH x AS (SELECT 1 AS n), y AS (WITH x AS (SELECT 2 AS n) SELECT n FROM x) SELECT x.n, y.n FROM x, y
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SELECT sum(n) FROM t
WITH RECURSIVE t AS (SELECT 1 AS n, 'a'::text AS s UNION SELECT n + 1, s || 'b' FROM t WHERE n < 5) SELECT * FROM t ORDER BY n
WITH x AS MATERIALIZED (SELECT 1 AS n) SELECT * FROM x
WITH x AS NOT MATERIALIZED (SELECT 1 AS n) SELECT * FROM x
SELECT name FROM {birds} UNION SELECT place FROM {places} ORDER BY 1
SELECT bird FROM {places} INTERSECT SELECT name FROM {birds} ORDER BY bird
SELECT bird FROM {places} EXCEPT ALL SELECT name FROM {birds} ORDER BY bird
(SELECT name FROM {birds} ORDER BY mass LIMIT 1) UNION ALL (SELECT name FROM {birds} ORDER BY mass DESC LIMIT 1)
SELECT * FROM ((SELECT 1 AS a) UNION (SELECT 2)) x ORDER BY a
VALUES (1, 'a'), (2, 'b')
SELECT * FROM (VALUES (1, 'one'), (2, 'two')) AS v(n, word) ORDER BY n
SELECT name, rank() OVER (ORDER BY eggs DESC), row_number() OVER (ORDER BY name) FROM {birds} ORDER BY name
SELECT name, sum(eggs) OVER w, avg(mass) OVER w FROM {birds} WINDOW w AS (ORDER BY name ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY name
SELECT bird, day, lag(day) OVER (PARTITION BY bird ORDER BY day), day - lag(day, 1, day) OVER (PARTITION BY bird ORDER BY day) AS gap FROM {places} ORDER BY bird, day
SELECT name, ntile(2) OVER (ORDER BY mass), percent_rank() OVER (ORDER BY mass), first_value(name) OVER (ORDER BY mass RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM {birds} ORDER BY mass
SELECT name, sum(eggs) OVER (ORDER BY eggs GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM {birds} ORDER BY name
SELECT count(*) FILTER (WHERE eggs > 3) AS many, sum(mass) FILTER (WHERE seen IS NULL) FROM {birds}
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY mass), percentile_disc(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY eggs), mode() WITHIN GROUP (ORDER BY eggs) FROM {birds}
SELECT place, bird, count(*), grouping(place, bird) FROM {places} GROUP BY ROLLUP (place, bird) ORDER BY 1, 2
SELECT place, bird, count(*) FROM {places} GROUP BY CUBE (place, bird) ORDER BY 1, 2, 3
SELECT place, bird, count(*) FROM {places} GROUP BY GROUPING SETS ((place), (bird), ()) ORDER BY 1, 2
SELECT string_agg(name, ', ' ORDER BY name DESC), array_agg(eggs ORDER BY mass), string_agg(DISTINCT left(name, 1), '') FROM {birds}
SELECT json_agg(json_build_object('name', name, 'eggs', eggs) ORDER BY name), jsonb_object_agg(name, mass) FROM {birds}
SELECT coalesce(seen::text, 'never'), nullif(eggs, 1), greatest(eggs, 4), least(mass, 100) FROM {birds} ORDER BY name
SELECT CASE WHEN mass > 1000 THEN 'heavy' WHEN mass > 90 THEN 'middle' ELSE 'light' END AS class, count(*) FROM {birds} GROUP BY 1 ORDER BY 1
SELECT CASE eggs WHEN 1 THEN 'one' ELSE 'more' END FROM {birds} ORDER BY _id
SELECT CAST(mass AS int), mass::float8, eggs::text || '!', '2024-02-29'::date, CAST('12.50' AS numeric(10, 1)), '3'::double precision FROM {birds} ORDER BY _id
SELECT date '2024-02-29' + 1, timestamp '2024-01-01 12:00' - interval '1 day', interval '1' year, interval '36:00', time '12:30', timestamp with time zone '2024-01-01 00:00+02'
SELECT extract(year FROM day), extract(epoch FROM day::timestamp), date_part('dow', day), to_char(day, 'YYYY-MM'), date_trunc('month', day)::date FROM {places} ORDER BY day
SELECT date_trunc('month', seen) AS month, count(*) FROM {birds} WHERE seen >= '2024-01-01' AND seen < timestamp '2025-01-01' GROUP BY month ORDER BY month
SELECT age(timestamp '2024-03-01', timestamp '2023-01-01'), make_date(2024, 2, 29), make_interval(days => 3, hours => 2), date_bin('15 minutes', timestamp '2024-01-01 10:20', timestamp '2024-01-01')
SELECT now() > '2020-01-01' AND current_date > '2020-01-01' AND current_timestamp = now() AND localtimestamp(0) IS NOT NULL
SELECT timestamp '2024-06-01 12:00' AT TIME ZONE 'Europe/Berlin', timestamptz '2024-06-01 12:00+00' AT TIME ZONE 'America/New_York'
SELECT (day, interval '3 days') OVERLAPS (date '2024-03-02', date '2024-03-04') FROM {places} ORDER BY day
SELECT substring(name FROM 2 FOR 3), substring(name, 1, 2), substring(name FROM '[A-Z]'), trim(BOTH 'A' FROM name), trim(name), position('l' IN name), overlay(name PLACING '**' FROM 2 FOR 2), split_part(name, 'e', 1) FROM {birds} ORDER BY _id
SELECT upper(name), lower(name), initcap(name), length(name), char_length(name), left(name, 2), right(name, -1), lpad(name, 10, '.'), rpad(name, 8), repeat('ab', 3), reverse(name), replace(name, 'e', '3'), concat_ws('-', name, NULL, eggs), format('%s: %5s', name, eggs), md5(name) FROM {birds} ORDER BY _id
SELECT name FROM {birds} WHERE name LIKE 'A%' OR name ILIKE '%ULE' OR name NOT LIKE '%i%' ORDER BY name
SELECT name FROM {birds} WHERE name SIMILAR TO '(A|E)%' OR name ~ '^K.*i$' OR name ~* '^z' OR name !~ 'e' ORDER BY name
SELECT 'a_b' LIKE 'a\_b', 'a!b' LIKE 'a!!b' ESCAPE '!', 'x' NOT SIMILAR TO 'y'
SELECT regexp_replace(name, '[aeiou]', '_', 'g'), (regexp_match(name, '(.)(.)'))[2], regexp_split_to_array(name, 'e'), regexp_count(name, '[a-z]') FROM {birds} ORDER BY _id
SELECT m[1] FROM {birds}, regexp_matches(name, '[A-Z]', 'g') AS m ORDER BY 1
SELECT tags[1], tags[1:1], array_length(tags, 1), cardinality(tags), 'song' = ANY (tags), tags @> ARRAY['song'], tags && '{night,day}'::text[], array_to_string(tags, '/'), tags || 'x'::text FROM {birds} ORDER BY _id
SELECT name, tag FROM {birds}, unnest(tags) AS tag ORDER BY name, tag
SELECT name, tag, n FROM {birds} CROSS JOIN LATERAL unnest(tags) WITH ORDINALITY AS t(tag, n) ORDER BY name, n
SELECT unnest(ARRAY[1, 2, 3]) AS n, unnest(ARRAY['a', 'b', 'c']) AS c
SELECT ARRAY[[1, 2], [3, 4]], (ARRAY[1, 2, 3])[2], ARRAY(SELECT eggs FROM {birds} ORDER BY eggs), array_append(ARRAY[]::int[], 1), array_position(ARRAY['a', 'b'], 'b')
SELECT more ->> 'legs', more -> 'eyes' ->> 'colour', more #>> '{eyes,colour}', more ? 'legs', more @> '{"legs": 2}', jsonb_typeof(more -> 'legs') FROM {birds} ORDER BY _id
SELECT more ->> '' FROM {birds}
SELECT b.name, e.key, e.value FROM {birds} b, jsonb_each_text(b.more) AS e ORDER BY 1, 2
SELECT jsonb_path_query(more, '$.eyes.colour'), more @? '$.legs ? (@ > 1)' FROM {birds} WHERE more @@ '$.legs == 2' ORDER BY 1
SELECT x.a, x.b FROM json_to_recordset('[{"a": 1, "b": "x"}, {"a": 2}]') AS x(a int, b text)
SELECT x.* FROM jsonb_to_record('{"a": [1, 2], "d": "2024-01-01"}') AS x(a int[], d timestamp with time zone)
SELECT jsonb_set(more, '{legs}', '3'), jsonb_build_array(name, eggs), to_jsonb(tags), more - 'legs', more || '{"x": 1}' FROM {birds} ORDER BY _id
SELECT g, g * g FROM generate_series(1, 5) AS g
SELECT d::date FROM generate_series(timestamp '2024-01-01', timestamp '2024-01-03', interval '1 day') AS d
SELECT m.month, count(p.day) FROM generate_series(date '2024-01-01', date '2024-03-01', '1 month') AS m(month) LEFT JOIN {places} p ON date_trunc('month', p.day) = m.month GROUP BY 1 ORDER BY 1
SELECT b.name, near.place FROM {birds} b LEFT JOIN LATERAL (SELECT place FROM {places} p WHERE p.bird = b.name ORDER BY day DESC LIMIT 1) AS near ON true ORDER BY 1
SELECT to_tsvector('english', 'A fat cat') @@ to_tsquery('english', 'cats & fat'), ts_rank(to_tsvector('simple', 'a b'), 'a'::tsquery), ts_headline('english', 'The fat cat', to_tsquery('cat'))
SELECT name FROM {birds} WHERE to_tsvector('simple', name) @@ websearch_to_tsquery('simple', 'kiwi or eule') ORDER BY name
SELECT abs(-1), ceil(1.2), floor(1.8), round(2.567, 2), trunc(2.567, 1), mod(7, 3), 7 % 3, power(2, 10), 2 ^ 10, sqrt(16), |/ 25.0, @ -5, exp(0), ln(1), log(100), sign(-3), pi(), degrees(pi()), 5 / 2, 5 / 2.0, div(7, 2), gcd(12, 18), 5 & 3, 5 | 3, 5 # 3, ~ 5, 1 << 3
SELECT width_bucket(mass, 0, 3000, 3) AS bucket, count(*) FROM {birds} GROUP BY bucket ORDER BY bucket
SELECT -1, +1, - -1, 1=-1, 1<-1, 2*-3, 2--a comment
SELECT 1e3, .5, 1., 'it''s', E'tab\there ''x'' \\ \u00fc', $$dollar 'x'$$, $q$a $$ b$q$, b'101', x'1F'::int, 'a\b', '\ '
SELECT 'a'
    'b' AS joined
SELECT 1 AS "Weird ""name""", 2 AS select, 3 AS "from", 4 "MiXed", 5 five
SELECT name AS year, eggs AS month, mass AS type, seen AS date FROM {birds} WHERE eggs > 3 ORDER BY year
SELECT t.year, t.month, t.type, t.first, t.value FROM (SELECT 1 AS year, 2 AS month, 3 AS type, 4 AS first, 5 AS value) AS t
SELECT year, month, day, hour, type, name, value, date, text, level, first, last, filter, range, version FROM (VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)) AS t(year, month, day, hour, type, name, value, date, text, level, first, last, filter, range, version)
SELECT {birds}.name, {birds}.* FROM {birds} ORDER BY {birds}._id
SELECT b.*, p.day FROM {birds} AS b, {places} AS p WHERE b.name = p.bird ORDER BY p.day
SELECT b FROM {birds} b ORDER BY b.name
SELECT row_to_json(b), (b).name, to_jsonb(b) - 'tags' FROM {birds} b ORDER BY _id
SELECT (1, 'a'), ROW(1, 2) = ROW(1, 2), (1, 2) < (1, 3), (eggs, name) IN (VALUES (5, 'Amsel')) FROM {birds} ORDER BY _id
SELECT eggs IS DISTINCT FROM 5, eggs IS NOT DISTINCT FROM 5, seen IS NULL, seen IS NOT NULL, (eggs > 3) IS TRUE, (seen > now()) IS UNKNOWN, seen ISNULL FROM {birds} ORDER BY _id
SELECT name FROM {birds} WHERE eggs BETWEEN 2 AND 5 AND mass NOT BETWEEN SYMMETRIC 500 AND 100 ORDER BY name
SELECT name FROM {birds} ORDER BY name COLLATE "C" DESC NULLS LAST, mass ASC
SELECT name FROM {birds} ORDER BY mass FETCH FIRST 2 ROWS ONLY
SELECT eggs FROM {birds} ORDER BY eggs FETCH FIRST 1 ROW WITH TIES
SELECT name FROM {birds} ORDER BY name LIMIT ALL OFFSET 2 ROWS
SELECT count(*) FROM {birds} TABLESAMPLE BERNOULLI (100) REPEATABLE (1)
SELECT pg_typeof(1.5)::text, pg_catalog.abs(-2), 5::pg_catalog.int4, pg_size_pretty(2048::bigint)
SELECT int4range(1, 10) @> 5, daterange('2024-01-01', '2024-02-01') && daterange('2024-01-15', NULL), lower(numrange(1.5, 2))
SELECT point(1, 2) <-> point(4, 6), box '((0,0),(1,1))' @> point '(0.5,0.5)', area(circle '((0,0),1)')
SELECT inet '192.168.1.5' << inet '192.168.1.0/24', host('10.0.0.1/8'::inet), masklen('10.0.0.0/8')
SELECT encode('abc'::bytea, 'hex'), decode('616263', 'hex'), sha256('x'), to_hex(255), ascii('A'), chr(65), translate('abc', 'ab', 'xy')
SELECT jsonb_build_array(VARIADIC ARRAY[1, 2]), num_nulls(1, NULL, 2), concat('a', 1, true)
SELECT /* outer /* inner */ still */ 1 -- end
SELECT count(*), count(*), name, name FROM {birds} GROUP BY name, name ORDER BY name
SELECT FROM {birds}
SELECT to_number('1,234.5', '9G999D9'), to_date('05 Dec 2000', 'DD Mon YYYY'), to_timestamp(0), to_timestamp('2024', 'YYYY')
SELECT normalize('u' || chr(776), NFC) = 'ü', normalize('x')
SELECT random() BETWEEN 0 AND 1, gen_random_uuid() IS NOT NULL, clock_timestamp() >= now()
SELECT name FROM {birds} WHERE name BETWEEN 'B' AND 'L' AND seen NOT BETWEEN '2024-03-02' AND '2024-03-03' ORDER BY name
SELECT sum(eggs) OVER (ORDER BY seen RANGE BETWEEN '40 days' PRECEDING AND CURRENT ROW) FROM {birds} WHERE seen IS NOT NULL ORDER BY seen
SELECT json '{"a": 1}' ->> 'a', double precision '1.5', character varying 'x', timestamp with time zone '2024-01-01 00:00+00'
SELECT seen AT TIME ZONE ('Europe/' || 'Berlin') FROM {birds} ORDER BY _id
SELECT (eggs > 3) IS NOT UNKNOWN, (eggs > 3) IS UNKNOWN, '[]' IS JSON FROM {birds} ORDER BY _id
SELECT name FROM {birds} WHERE name = SOME (ARRAY['Kiwi', 'x']) AND eggs <> ALL ('{7,8}'::int[])
SELECT sum(eggs) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM {birds} WINDOW w AS (ORDER BY name) ORDER BY 1
SELECT count(DISTINCT (name, eggs)), sum(CASE WHEN eggs > 3 THEN 1 ELSE 0 END) * 100.0 / count(*) AS pct FROM {birds}
SELECT (array_agg(DISTINCT name ORDER BY name))[1:2], avg(mass) FILTER (WHERE eggs > 1)::numeric(10, 2) FROM {birds}
SELECT b'10' | b'01', x'ff'
SELECT concat_ws(',', VARIADIC ARRAY['a', 'b']), format('%s-%s', VARIADIC ARRAY[1, 2])
SELECT json_object(), json_object(ARRAY['a', 'b']), json_object('{a,b}', '{1,2}'), "json_object"('{a,b}')
'''
