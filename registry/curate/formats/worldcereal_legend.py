"""What the values of WorldCereal's reference labels mean, and those of Sentinel-2's scenes.

References:
    WorldCereal Reference Data Module, legends of land cover, crop types and irrigation
    (ewoc_rdm_web, ``src/utils/Legends.ts``); ESA, Sentinel-2 Products Specification Document,
    scene classification of level 2A.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["CROP_TYPE", "IRRIGATION", "LAND_COVER", "SCENE"]

LAND_COVER: Final[Mapping[int, str]] = MappingProxyType({
    0: "No information", 10: "Cropland", 11: "Annual cropland", 12: "Perennial cropland",
    13: "Grassland", 20: "Herbaceous vegetation", 30: "Shrubland", 40: "Deciduous forest",
    41: "Evergreen forest", 42: "Mixed or unknown forest", 50: "Bare or sparse vegetation",
    60: "Built-up", 70: "Water", 80: "Snow and ice", 99: "No cropland",
})  # fmt: skip
"""``LC``."""

CROP_TYPE: Final[Mapping[int, str]] = MappingProxyType({
    0: "No information", 1000: "Cereals", 1100: "Wheat", 1110: "Winter wheat",
    1120: "Spring wheat", 1200: "Maize", 1300: "Rice", 1400: "Sorghum", 1500: "Barley",
    1510: "Winter barley", 1520: "Spring barley", 1600: "Rye", 1610: "Winter rye",
    1620: "Spring rye", 1700: "Oats", 1800: "Millets", 1900: "Other cereals",
    1910: "Winter cereal", 1920: "Spring cereal", 2000: "Vegetables and melons",
    2100: "Leafy or stem vegetables", 2110: "Artichokes", 2120: "Asparagus", 2130: "Cabbages",
    2140: "Cauliflowers and broccoli", 2150: "Lettuce", 2160: "Spinach", 2170: "Chicory",
    2190: "Other leafy or stem vegetables", 2200: "Fruit-bearing vegetables", 2210: "Cucumbers",
    2220: "Eggplants", 2230: "Tomatoes", 2240: "Watermelons", 2250: "Cantaloupes and other melons",
    2260: "Pumpkin", 2290: "Other fruit-bearing vegetables",
    2300: "Root, bulb or tuberous vegetables", 2310: "Carrots", 2320: "Turnips", 2330: "Garlic",
    2340: "Onions and shallots", 2350: "Leeks and other alliaceous vegetables",
    2390: "Other root, bulb or tuberous vegetables", 2400: "Mushrooms and truffles",
    2900: "Other vegetables", 3000: "Fruit and nuts", 3100: "Tropical and subtropical fruits",
    3110: "Avocados", 3120: "Bananas and plantains", 3130: "Dates", 3140: "Figs", 3150: "Mangoes",
    3160: "Papayas", 3170: "Pineapples", 3190: "Other tropical and subtropical fruits",
    3200: "Citrus fruits", 3210: "Grapefruit and pomelo", 3220: "Lemons and limes",
    3230: "Oranges", 3240: "Tangerines", 3290: "Other citrus fruit", 3300: "Grapes",
    3400: "Berries", 3410: "Currants", 3420: "Gooseberries", 3430: "Kiwi fruit",
    3440: "Raspberries", 3450: "Strawberries", 3460: "Blueberries", 3490: "Other berries",
    3500: "Pome and stone fruits", 3510: "Apples", 3520: "Apricots",
    3530: "Cherries and sour cherries", 3540: "Peaches and nectarines", 3550: "Pears and quinces",
    3560: "Plums and sloes", 3590: "Other pome and stone fruits", 3600: "Nuts", 3610: "Almonds",
    3620: "Cashew nuts", 3630: "Chestnuts", 3640: "Hazelnuts", 3650: "Pistachios", 3660: "Walnuts",
    3690: "Other nuts", 3900: "Other fruit", 4000: "Oilseed crops", 4100: "Soya beans",
    4200: "Groundnuts", 4300: "Temporary oilseed crops", 4310: "Castor bean", 4320: "Linseed",
    4330: "Mustard", 4340: "Niger seed", 4350: "Rapeseed", 4351: "Winter rapeseed",
    4352: "Spring rapeseed", 4360: "Safflower", 4370: "Sesame", 4380: "Sunflower",
    4390: "Other temporary oilseed crops", 4400: "Permanent oilseed crops", 4410: "Coconuts",
    4420: "Olives", 4430: "Oil palms", 4490: "Other oleaginous fruits",
    5000: "Root and tuber crops", 5100: "Potatoes", 5200: "Sweet potatoes", 5300: "Cassava",
    5400: "Yams", 5900: "Other roots and tubers", 6000: "Beverage and spice crops",
    6100: "Beverage crops", 6110: "Coffee", 6120: "Tea", 6130: "Maté", 6140: "Cocoa",
    6190: "Other beverage crops", 6200: "Spice crops", 6211: "Chilies and peppers", 6212: "Anise",
    6219: "Other temporary spice crops", 6221: "Pepper", 6222: "Nutmeg", 6223: "Cinnamon",
    6224: "Cloves", 6225: "Ginger", 6226: "Vanilla", 6229: "Other permanent spice crops",
    7000: "Leguminous crops", 7100: "Beans", 7200: "Broad beans", 7300: "Chick peas",
    7400: "Cow peas", 7500: "Lentils", 7600: "Lupins", 7700: "Peas", 7800: "Pigeon peas",
    7900: "Other leguminous crops", 7910: "Other temporary leguminous crops",
    7920: "Other permanent leguminous crops", 8000: "Sugar crops", 8100: "Sugar beet",
    8200: "Sugar cane", 8300: "Sweet sorghum", 8900: "Other sugar crops", 9000: "Other crops",
    9100: "Grasses and other fodder crops", 9110: "Temporary grass crops",
    9120: "Permanent grass crops", 9200: "Fibre crops", 9210: "Temporary fibre crops",
    9211: "Cotton", 9212: "Jute", 9213: "Flax", 9219: "Other temporary fibre crops",
    9220: "Permanent fibre crops", 9300: "Medicinal crops", 9310: "Temporary medicinal crops",
    9320: "Permanent medicinal crops", 9400: "Rubber", 9500: "Flower crops",
    9510: "Temporary flower crops", 9520: "Permanent flower crops", 9600: "Tobacco",
    9700: "Alfalfa", 9900: "Crops of no other group", 9910: "Temporary crops of no other group",
    9920: "Permanent crops of no other group", 9998: "Mixed cropping",
})  # fmt: skip
"""``CT``."""

IRRIGATION: Final[Mapping[int, str]] = MappingProxyType({
    0: "No information", 100: "Rainfed", 200: "Irrigated", 210: "Fully irrigated",
    213: "Fully irrigated, surface", 214: "Fully irrigated, sprinkler",
    215: "Fully irrigated, drip", 220: "Supplementary irrigation",
    223: "Supplementary irrigation, surface", 224: "Supplementary irrigation, sprinkler",
    225: "Supplementary irrigation, drip",
})  # fmt: skip
"""``IRR``."""

SCENE: Final[Mapping[int, str]] = MappingProxyType({
    0: "No data", 1: "Saturated or defective", 2: "Dark area", 3: "Cloud shadow", 4: "Vegetation",
    5: "Bare soil", 6: "Water", 7: "Unclassified", 8: "Cloud, medium probability",
    9: "Cloud, high probability", 10: "Thin cirrus", 11: "Snow or ice",
})  # fmt: skip
"""``SCL``."""
