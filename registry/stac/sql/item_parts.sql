-- From the text of items to the JSON of their parts. In: the table `items` with `text`.
select
    position,
    part.id as id,
    part.collection as collection,
    part.geometry as geometry,
    part.bbox as bbox,
    part.properties as properties,
    part.assets as assets,
    part.links as links,
    part.stac_version as stac_version,
    part.stac_extensions as stac_extensions
from (select position, json_transform(text, $part_types) as part from items)
