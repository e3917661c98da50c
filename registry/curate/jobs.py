"""Jobs: work that another program does, such as Spark, started and watched from here."""
