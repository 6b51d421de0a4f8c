-- Macros that count and compare words, built anew whenever a writer opens the store. They need no table. What a word is
-- stands in scenarios/words.py, from which the patterns in braces come.

create or replace macro unspaced_scripts() as '{unspaced}';
comment on macro unspaced_scripts is 'Regular expression: a character of a script that is written without spaces.';

create or replace macro words(line) as len(regexp_extract_all(line, '{word}'));
comment on macro words is
    'words(line): number of words. A word has a letter or a digit; one apostrophe or hyphen within it belongs to it, and so '
    'do point, comma and colon between digits. In scripts written without spaces every character is a word.';

create or replace macro spoken_words(action, line) as
    case when action in ('speak', 'leave') and line is not null then words(line) else 0 end::integer;
comment on macro spoken_words is
    'spoken_words(action, line): number of words said in an act, 0 where nothing was; what turns.words holds.';

create or replace macro without_case(line) as replace(replace(lower(nfc_normalize(line)), 'ß', 'ss'), 'ς', 'σ');
comment on macro without_case is 'without_case(line): a text in small letters; the sharp s is a double s.';

create or replace macro folded_words(line) as coalesce(string_split(nullif(case
    when strlen(line) = length(line)
        then lower(replace(array_to_string(regexp_extract_all(line, '{word}'), ' '), '''', ''))
    else without_case(regexp_replace(regexp_replace(
        array_to_string(regexp_extract_all(line, '{word}'), ' '),
        '{apostrophes}|{invisible}', '', 'g'), '{hyphens}', '-', 'g')) end, ''), ' '), []);
comment on macro folded_words is
    'folded_words(line): the words of a line as a list, without letter case and apostrophes, so that don''t is dont.';

create or replace macro folded(line) as case
    when strlen(line) = length(line) then replace(replace(replace(
        ' ' || regexp_replace(lower(line), '[^a-z0-9 ]+', ' ', 'g') || ' ', ' ', '<>'), '><', ''), '<>', ' ')
    else regexp_replace(' ' || without_case(regexp_replace(
        coalesce(array_to_string(regexp_extract_all(line, '{part}'), ' '), ''), '{invisible}', '', 'g')) || ' ',
        ' +', ' ', 'g') end;
comment on macro folded is
    'folded(line): words between single spaces, cut at apostrophes and hyphens, without letter case and punctuation; in '
    'unspaced scripts characters. For finding a text in another.';

create or replace macro three_grams(line) as case
    when folded_words(line) = [] then []
    when len(folded_words(line)) < 3 then [hash(array_to_string(folded_words(line), ' '))]
    else list_transform(
        list_zip(folded_words(line), folded_words(line)[2:], folded_words(line)[3:], true), lambda gram: hash(gram)) end;
comment on macro three_grams is
    'three_grams(line): hashes of every three words in a row, as a list; of a line of one or two words one hash.';

create or replace macro word_sequences(line, n) as case
    when len(string_split(trim(folded(line)), ' ')) <= n then [folded(line)]
    else list_transform(
        range(1, len(string_split(trim(folded(line)), ' ')) - n + 2),
        lambda i: ' ' || array_to_string(string_split(trim(folded(line)), ' ')[i:i + n - 1], ' ') || ' ') end;
comment on macro word_sequences is 'word_sequences(line, n): every n words of folded(line) in a row, as a list.';

create or replace macro stems(line) as {stemmed};
comment on macro stems is
    'stems(line): the words of a line between single spaces, without accents, endings and clitics (the first four letters; '
    'in Arabic and Korean less article, particles and pronouns), those that say little left out. For finding a text in '
    'another form of it.';

create or replace macro nearby(row_) as row_
    || '| ' || array_to_string(list_slice(string_split(trim(row_), ' '), 1, len(string_split(trim(row_), ' ')), 2), ' ')
    || ' | ' || coalesce(
        array_to_string(list_slice(string_split(trim(row_), ' '), 2, len(string_split(trim(row_), ' ')), 2), ' '), '')
    || ' ';
comment on macro nearby is
    'nearby(row_): a row of words between single spaces, and behind it those in odd and those in even places, so that words '
    'with at most one between them are beside each other.';

create or replace macro turned(sequence) as regexp_replace(sequence, '^ ([^ ]+) ([^ ]+) $', ' \2 \1 ');
comment on macro turned is 'turned(sequence): a sequence of two words with the second first; longer ones as they are.';

create or replace macro courtesies() as '{courtesies}';
comment on macro courtesies is
    'Regular expression over folded(line): a word or phrase of greeting, thanks, apology, wishes and offers.';

create or replace macro without_courtesies(line) as case
    when regexp_matches(folded(line), courtesies()) then array_to_string(list_filter(
        regexp_extract_all(line, '{sentence}'),
        lambda said: not (length(rtrim(folded(said))) <= {courtesy_length}
            and regexp_matches(folded(said), courtesies()))), ' ')
    else line end;
comment on macro without_courtesies is
    'without_courtesies(line): a line without its short sentences of greeting, thanks, apology and the like.';

create or replace macro person_words() as string_split('{person_words}', ' ');
comment on macro person_words is 'Words that change with who speaks (your job, my job).';
