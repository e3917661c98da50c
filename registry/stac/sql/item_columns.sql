-- From the JSON of items to typed columns. In: the table `items` with the text columns
-- `properties` and `assets`.
select
    position,
    json_transform(properties, $property_types) as properties,
    json_transform(assets, $asset_types) as assets
from items
