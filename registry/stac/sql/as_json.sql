-- Columns back to JSON as items write it: a null is a key that only other items have.
select
    position,
    json_merge_patch('{}', to_json(properties)) as properties,
    json_merge_patch('{}', to_json(assets)) as assets,
    to_json(links) as links
from items
