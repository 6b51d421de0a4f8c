-- Words are counted once, when an act is stored, and not again by every query.

alter table turns add column words integer;
update turns set words = spoken_words(action, text);
comment on column turns.words is 'Number of words said, 0 where nothing was; in scripts written without spaces, of characters.';
