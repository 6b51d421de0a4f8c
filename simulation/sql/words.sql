-- Macros that count and compare words, built anew whenever a writer opens the store. They need no table.

create or replace macro unspaced_scripts() as
    '[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]';
comment on macro unspaced_scripts is 'Regular expression: a character of a script that is written without spaces.';

create or replace macro words(line) as if(
    strlen(line) = length(line),
    len(string_split(line, ' ')),
    length(line) - length(regexp_replace(line, unspaced_scripts() || '+', '', 'g'))
        + len(regexp_extract_all(regexp_replace(line, unspaced_scripts() || '+', '', 'g'), '[\pL\pM\pN''’-]+')));
comment on macro words is
    'words(line): number of words; in scripts written without spaces every character counts as one.';

create or replace macro spoken_words(action, line) as
    if(action in ('speak', 'leave') and line is not null, words(line), 0)::integer;
comment on macro spoken_words is
    'spoken_words(action, line): number of words said in an act, 0 where nothing was; what turns.words holds.';

create or replace macro folded(line) as replace(replace(
    ' ' || if(
        strlen(line) = length(line),
        regexp_replace(lower(line), '[^a-z0-9 ]+', ' ', 'g'),
        regexp_replace(
            regexp_replace(lower(line), '[^\pL\pM\pN ]+', ' ', 'g'), '(' || unspaced_scripts() || ')', ' \1 ', 'g')
    ) || ' ',
    '  ', ' '), '  ', ' ');
comment on macro folded is
    'folded(line): words between single spaces, without letter case and punctuation; in unspaced scripts characters.';

create or replace macro folded_words(line) as
    if(folded(line) = ' ', [], string_split(trim(folded(line)), ' '));
comment on macro folded_words is 'folded_words(line): the words of folded(line) as a list.';

create or replace macro three_grams(line) as if(
    len(folded_words(line)) between 1 and 2,
    [hash(folded(line))],
    list_transform(
        list_zip(folded_words(line), folded_words(line)[2:], folded_words(line)[3:], true), lambda gram: hash(gram)));
comment on macro three_grams is
    'three_grams(line): hashes of every three words in a row, as a list; of a line of one or two words one hash.';

create or replace macro word_sequences(line, n) as if(
    len(folded_words(line)) <= n,
    [folded(line)],
    list_transform(
        range(1, len(folded_words(line)) - n + 2),
        lambda i: ' ' || array_to_string(folded_words(line)[i:i + n - 1], ' ') || ' '));
comment on macro word_sequences is 'word_sequences(line, n): every n words in a row, folded, as a list.';

create or replace macro person_words() as string_split(
    'i me my mine myself you your yours yourself he him his himself she her hers herself they them their theirs we us '
    'our ours ich mich mir mein meine meinen meiner du dich dir dein deine deinen deiner er ihn ihm sein seine sie ihr '
    'ihre yo mi mis tú tu tus te él ella su sus 我 你 您 他 她 私 僕 俺 彼', ' ');
comment on macro person_words is
    'Words that change with who speaks (your job, my job), so that a sequence of words holding one proves nothing.';
