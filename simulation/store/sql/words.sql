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

create or replace macro person_words() as string_split(
    'i me my mine myself you your yours yourself he him his himself she her hers herself they them their theirs we us '
    'our ours ich mich mir mein meine meinen meiner du dich dir dein deine deinen deiner er ihn ihm sein seine sie ihr '
    'ihre yo mi mis tú tu tus te él ella su sus 我 你 您 他 她 私 僕 俺 彼', ' ');
comment on macro person_words is
    'Words that change with who speaks (your job, my job), so that a sequence of words holding one proves nothing.';
