"""HTML pages in one file each: styles, scripts and data inside, nothing fetched."""

from w2sprobe.reporting.pages.page import ENVIRONMENT, Page, write_page

__all__ = ["ENVIRONMENT", "Page", "write_page"]
